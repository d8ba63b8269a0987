"""What a plugin can declare wrongly."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tests.conformance.right.inference import spec_of
from tests.conformance.wrong.case import add

PLUGINS = Path(__file__).parent / "plugins"


class LaxConfig(BaseModel):
    """Takes unknown keys."""


class TalkativeConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    api_key: str = ""


class StrictData(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str


def no_config() -> None:
    """Is no model."""


add(
    "plugin.import-light",
    "import heavy_plugin loads .*aiohttp",
    provider_type="inline::heavy",
    plugin_paths=[PLUGINS / "heavy_plugin.py"],
)
add(
    "plugin.no-warnings",
    "function presets has a hook's name but lacks the marker",
    provider_type="inline::unmarked",
    plugin_paths=[PLUGINS / "unmarked_plugin.py"],
)
add("plugin.import-strings", "no pydantic model", provider_type=spec_of(config=f"{__name__}:no_config"))
add(
    "plugin.config-strict",
    "takes the unknown key 'hitchpost_no_such_key'",
    provider_type=spec_of(config=f"{__name__}:LaxConfig"),
)
add("plugin.config-secrets", "has api_key as plain text", provider_type=spec_of(config=f"{__name__}:TalkativeConfig"))
add("plugin.described", "description is ''", provider_type=spec_of(description=""))
add(
    "provider-data.shared",
    "refuses what is for another provider",
    provider_type=spec_of(provider_data=f"{__name__}:StrictData"),
)
