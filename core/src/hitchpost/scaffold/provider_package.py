"""The distribution that `hitchpost new provider` writes: a small provider that passes its tests, for an author to change."""

import importlib.util
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from importlib_metadata import PackageNotFoundError, distribution

from hitchpost import __version__
from hitchpost.api import Api
from hitchpost.errors import ConfigError
from hitchpost.plugin.discovery import discover_plugins, is_named

PREFIX = "hitchpost-"
MAX_NAME_CHARS = 40
SUFFIX = ".template"

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class ProviderPackage:
    """What a new distribution and the things in it are called.

    Args:
        name: what follows `inline::` or `remote::` in the provider type: lower-case words, with `-` or `_` between them.
        api: inference, safety or memory.
        is_remote: whether it stands in front of an HTTP server; for inference only.

    Raises:
        ConfigError: it can't be the name of a distribution and a module, or is too long; or there is no such package.
    """

    name: str
    api: Api
    is_remote: bool = False

    def __post_init__(self) -> None:
        if self.is_remote and self.api is not Api.inference:
            raise ConfigError(
                f"there is no package to begin with for {self.api.value} in front of a server: write it without --remote, and change what it does"
            )
        if self.name.startswith(("hitchpost-", "hitchpost_")):
            raise ConfigError(f"the name {self.name!r} gets {PREFIX!r} in front by itself; leave it out")
        if not _NAME.fullmatch(self.name) or len(self.name) > MAX_NAME_CHARS:
            raise ConfigError(
                f"{self.name!r} can't be the name of a package: write at most {MAX_NAME_CHARS} lower-case letters and digits, "
                "a letter first, with single dashes between words, such as my-backend"
            )

    @property
    def distribution(self) -> str:
        """What is installed by pip."""
        return PREFIX + self.name.replace("_", "-")

    @property
    def package(self) -> str:
        """What is imported."""
        return self.distribution.replace("-", "_")

    def check_is_free(self) -> None:
        """Raises ConfigError where something installed has the distribution's, the module's or the provider type's name."""
        try:
            taken = f"the distribution {self.distribution} {distribution(self.distribution).version}"
        except PackageNotFoundError:
            taken = f"the module {self.package}" if importlib.util.find_spec(self.package) else ""
        for report in discover_plugins().reports:
            if is_named(report, [self.name]):
                taken = taken or f"the plugin {report.name} of {report.distribution}"
            if any((spec.api, spec.provider_type) == (self.api, self._provider_type) for spec in report.provider_specs):
                taken = taken or f"the provider type {self._provider_type} of {report.distribution}"
        if taken:
            raise ConfigError(f"{taken} is installed already; choose another name than {self.name!r}")

    def write(self, folder: Path) -> list[Path]:
        """Write the distribution into a new folder, all of it or nothing.

        Returns:
            The files, relative to the folder.

        Raises:
            ConfigError: the folder exists, or can't be made.
        """
        if folder.exists() or folder.is_symlink():
            raise ConfigError(f"{folder} exists already; name another folder by --output")
        try:
            with tempfile.TemporaryDirectory(prefix=".hitchpost-new-", dir=folder.parent) as workplace:
                draft = Path(workplace, folder.name)
                written = [self._write_file(draft, path, text) for path, text in self._files()]
                draft.rename(folder)
        except OSError as error:
            raise ConfigError(f"{folder} can't be made: {error.strerror or error}") from error
        return sorted(written)

    @property
    def _provider_type(self) -> str:
        return f"{'remote' if self.is_remote else 'inline'}::{self.name}"

    def _files(self) -> Iterator[tuple[Path, str]]:
        templates = files("hitchpost.scaffold") / "templates" / "provider"
        for group in ("any", f"remote_{self.api.value}" if self.is_remote else self.api.value):
            yield from _templates_of(templates / group)

    def _write_file(self, folder: Path, template: Path, text: str) -> Path:
        major, minor, *_ = __version__.split(".")
        parts = [self.package if part == "package" else part for part in template.parts]
        path = Path(*parts).with_name(parts[-1].removesuffix(SUFFIX))
        filled = Template(text).substitute(
            name=self.name,
            api=self.api.value,
            module_name=self.package.removeprefix("hitchpost_"),
            distribution=self.distribution,
            package=self.package,
            env_name=self.package.removeprefix("hitchpost_").upper(),
            prefix="".join(word.capitalize() for word in re.split("[-_]", self.name)),
            hitchpost="hitchpost[remote]" if self.is_remote else "hitchpost",
            hitchpost_versions=f">={major}.{minor},<{major}.{int(minor) + 1}",
        )
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(filled, encoding="utf-8")
        return path


def _templates_of(folder: Traversable, *parents: str) -> Iterator[tuple[Path, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates_of(entry, *parents, entry.name)
        elif entry.name.endswith(SUFFIX):
            yield Path(*parents, entry.name), entry.read_text(encoding="utf-8")


__all__ = ["ProviderPackage"]
