"""The provider types that can be configured here, with what their configs are made of."""

import logging
from dataclasses import dataclass, field

from pydantic import BaseModel

from hitchpost.api import Api
from hitchpost.plugin.catalog import Catalog
from hitchpost.plugin.declarations import ProviderSpec, load_import_string
from hitchpost.plugin.foreign import is_failure

log = logging.getLogger("hitchpost.config")


@dataclass(frozen=True, slots=True)
class InstalledTypes:
    """Provider types by API and name."""

    configs: dict[tuple[Api, str], type[BaseModel]] = field(default_factory=dict)
    specs: dict[tuple[Api, str], ProviderSpec] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """Types whose config class can't be loaded, with the reason."""

    def names(self, api: Api) -> list[str]:
        """The types of an API."""
        return sorted(name for of, name in self.configs if of is api)


def load_installed_types(catalog: Catalog) -> InstalledTypes:
    """Load the config class of every provider type; one that can't be loaded is named in `failures`."""
    installed = InstalledTypes()
    for (api, name), entry in sorted(catalog.types.items()):
        try:
            config = load_import_string(entry.spec.config)
        except BaseException as error:
            if not is_failure(error):
                raise
            log.debug("the config of provider type %s can't be loaded", name, exc_info=error)
            installed.failures.append(f"provider type {name} of {api.value} can't be loaded: {type(error).__name__}")
            continue
        if not isinstance(config, type) or not issubclass(config, BaseModel):
            installed.failures.append(f"provider type {name} of {api.value}: {entry.spec.config} is no pydantic model")
            continue
        installed.configs[api, name] = config
        installed.specs[api, name] = entry.spec
    return installed


__all__ = ["InstalledTypes", "load_installed_types"]
