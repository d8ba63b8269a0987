"""Checks of what a plugin declares: light to import, right as data, strict about its config."""

import json
import re
import subprocess
import sys

from pydantic import SecretStr, ValidationError

from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import CheckFailed, NotApplicable, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.preflight import IMPORT_TYPE

KNOWN_HEAVY = (
    "aiohttp", "anthropic", "boto3", "botocore", "fairscale", "faiss", "google.cloud", "grpc", "httpx", "jax", "numpy", "onnxruntime",
    "openai", "pandas", "requests", "scipy", "sentence_transformers", "sklearn", "sqlalchemy", "tensorflow", "tiktoken", "tokenizers",
    "torch", "transformers", "weaviate",
)  # fmt: skip
"""Libraries that no plugin's module may load while it is imported."""
MAX_NEW_MODULES = 100
"""How many modules the import of a plugin may load beyond those of Hitchpost itself."""
IMPORT_TIMEOUT_S = 60

_IMPORTER = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
import hitchpost, hitchpost.api, hitchpost.errors, hitchpost.plugin, hitchpost.llama
before = set(sys.modules)
__import__(sys.argv[1])
json.dump(sorted(set(sys.modules) - before), sys.stdout)
"""
_SECRET = re.compile(r"(^|_)(api_?key|access_key|auth_token|access_token|api_token|password|passphrase|secret)$")


class PluginChecks(ConformanceBase):
    """What discovery and the plan rely on before anything is built."""

    @check(
        "plugin.import-light",
        why="every start of every host and every command imports all plugins, also those that it doesn't use",
        advice="import the backend's library in the module of the provider, not in the one that the entry point names",
    )
    async def test_importing_the_plugin_is_light(self, harness: Harness) -> None:
        """Importing the plugin's module loads no backend library and at most 100 modules beyond Hitchpost's own."""
        module = harness.subject.plugin_module
        if not module:
            raise NotApplicable("provider_type is a ProviderSpec; name it as text to have its plugin checked")
        new = _modules_loaded_by(module, [str(path.parent) for path in self.find_plugin_paths()])
        heavy = sorted({*harness.spec.requires_modules, *KNOWN_HEAVY} & new)
        if heavy:
            raise CheckFailed(f"import {module} loads {', '.join(heavy)}")
        if len(new) > MAX_NEW_MODULES:
            packages = sorted({name.partition(".")[0] for name in new})
            raise CheckFailed(f"import {module} loads {len(new)} modules, of: {', '.join(packages)}")

    @check(
        "plugin.no-warnings",
        why="a function with a hook's name that lacks the marker is silently no hook, and nobody learns what the plugin would offer",
        advice="mark every package hook with @hookimpl, spell it as in hitchpost.plugin.hookspecs, and let one distribution declare a type",
    )
    async def test_discovery_has_nothing_against_the_plugin(self, harness: Harness) -> None:
        """Discovery finds every package hook of the plugin marked and known."""
        if harness.subject.warnings:
            raise CheckFailed("; ".join(harness.subject.warnings))

    @check(
        "plugin.import-strings",
        why="they are followed only when a provider of the type is built, so that a misspelt one is found by the operator",
        advice=IMPORT_TYPE.advice,
    )
    async def test_import_strings_lead_to_what_they_name(self, harness: Harness) -> None:
        """`config` and `provider_data` name pydantic models, `factory` names something that can be called."""
        harness.import_type()

    @check(
        "plugin.config-strict",
        why="a misspelt key of a run config that is ignored is a setting that silently isn't there",
        advice="give the config class model_config = ConfigDict(extra='forbid')",
    )
    async def test_config_refuses_unknown_keys(self, harness: Harness) -> None:
        """The config model refuses a key that it doesn't have."""
        config = type(await harness.read_config())
        try:
            config.model_validate({**await harness.config(), "hitchpost_no_such_key": 1})
        except ValidationError:
            return
        raise CheckFailed(f"{config.__name__} takes the unknown key 'hitchpost_no_such_key' without a word")

    @check(
        "plugin.config-secrets",
        why="a secret that is plain text shows up wherever the config is printed: in logs, tracebacks and `hitchpost config show`",
        advice="declare the field as pydantic.SecretStr and read it by get_secret_value() where it is sent",
    )
    async def test_secrets_of_the_config_are_secret(self, harness: Harness) -> None:
        """Fields of the config that hold a key or password are `SecretStr`."""
        config, _ = harness.import_type()
        plain = [
            name
            for name, field in config.model_fields.items()
            if _SECRET.search(name) and SecretStr.__name__ not in str(field.annotation)
        ]
        if plain:
            raise CheckFailed(f"{config.__name__} has {', '.join(plain)} as plain text")

    @check(
        "plugin.described",
        why="it is all that `hitchpost providers` can say of a type before anything of it is imported",
        advice="give the ProviderSpec a description: one line that says what a provider of the type serves",
    )
    async def test_type_is_described(self, harness: Harness) -> None:
        """The provider type has a description of one line."""
        description = harness.spec.description
        if not description.strip() or "\n" in description:
            raise CheckFailed(f"description is {description!r}")


def _modules_loaded_by(module: str, folders: list[str]) -> set[str]:
    command = [sys.executable, "-c", _IMPORTER, module, json.dumps([*folders, *sys.path])]
    result = subprocess.run(  # noqa: S603 - the interpreter itself, with a module that is installed
        command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False
    )
    if result.returncode:
        raise CheckFailed(f"import {module} in a fresh interpreter fails: {result.stderr.strip().splitlines()[-1:]}")
    return set(json.loads(result.stdout.splitlines()[-1]))


__all__ = ["KNOWN_HEAVY", "MAX_NEW_MODULES", "PluginChecks"]
