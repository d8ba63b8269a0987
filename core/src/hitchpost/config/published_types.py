"""How provider types were named and configured in run configs of 2024, and what became of them.

Facts of llama-stack's releases from August 2024 to 0.0.53. Everything here is a table or a pure function on one provider's entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

API_NAMES = {"agentic_system": "agents"}
"""APIs that have another name now."""

FOREIGN_APIS = ("datasetio", "eval", "post_training", "scoring", "tool_runtime", "vector_io")
"""APIs of published run configs that Hitchpost doesn't have."""

_TYPE_NAMES = {
    ("inference", "meta-reference"): "inline::meta-reference",
    ("inference", "meta-reference-quantized"): "inline::meta-reference-quantized",
    ("inference", "remote::hf"): "remote::hf::endpoint",
    ("inference", "vllm"): "inline::vllm",
    ("memory", "faiss"): "inline::faiss",
    ("memory", "inline::meta-reference"): "inline::faiss",
    ("memory", "meta-reference"): "inline::faiss",
    ("memory", "meta-reference-faiss"): "inline::faiss",
    ("safety", "code-scanner"): "inline::code-scanner",
    ("safety", "llama-guard"): "inline::llama-guard",
    ("safety", "meta-reference/codeshield"): "inline::code-scanner",
    ("safety", "prompt-guard"): "inline::prompt-guard",
    ("agents", "meta-reference"): "inline::meta-reference",
    ("telemetry", "console"): "inline::meta-reference",
    ("telemetry", "meta-reference"): "inline::meta-reference",
}
_DEFAULT_MODEL = "Llama3.1-8B-Instruct"
"""The model of a `meta-reference` without one, as long as the type had no prefix."""
_SPLIT_SAFETY = ("meta-reference", "inline::meta-reference")

_PROMPT_GUARD_MODEL = "Prompt-Guard-86M"


@dataclass(frozen=True, slots=True)
class _Shield:
    provider_id: str
    provider_type: str
    name: str
    """The provider's own name of it."""
    config: Mapping[str, Any] = field(default_factory=dict)


_LLAMA_GUARD = _Shield("llama-guard", "inline::llama-guard", "Llama-Guard-3-1B")
_PROMPT_GUARD = _Shield("prompt-guard", "inline::prompt-guard", _PROMPT_GUARD_MODEL)
_JAILBREAK = _Shield("jailbreak-guard", "inline::prompt-guard", _PROMPT_GUARD_MODEL, {"guard_type": "jailbreak"})
_SHIELDS = {
    "llama_guard": _LLAMA_GUARD,
    "prompt_guard": _PROMPT_GUARD,
    "injection_shield": _PROMPT_GUARD,
    "jailbreak_shield": _JAILBREAK,
    "code_scanner_guard": _Shield("code-scanner", "inline::code-scanner", "CodeScanner"),
}
"""The shields that the one safety type of October 2024 published, and the provider that has each now."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an upgrade changed, and where in the file that it was given."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class PublishedProvider:
    """An entry of a run config on its way to its present form."""

    api: str
    path: str
    """Where it stands in the given file."""
    provider_id: Any
    provider_type: Any
    config: Any
    routing_keys: tuple[str, ...] = ()
    """What was called by it in files that had a routing table."""
    shield_names: Mapping[str, str] = field(default_factory=dict)
    """The provider's own names of shields, where they aren't the routing keys."""
    rest: Mapping[Any, Any] = field(default_factory=dict)
    """Its other keys, kept as they are."""


def present_providers(old: PublishedProvider, changes: list[Change]) -> list[PublishedProvider]:
    """The entry under its present type name and with its present fields; several where one type became several."""
    if not isinstance(old.provider_type, str):
        return [old]
    if old.api == "safety" and old.provider_type in _SPLIT_SAFETY and isinstance(old.config, dict | None):
        return _split_safety(old, changes)
    provider = _with_present_type(old, changes)
    config = provider.config
    if isinstance(config, dict):
        for present in _CONFIG_FIELDS.get((provider.api, provider.provider_type), ()):
            config = present(config, f"{old.path}.config", changes)
    return [replace(provider, config=config)]


def _with_present_type(old: PublishedProvider, changes: list[Change]) -> PublishedProvider:
    name, config = old.provider_type, old.config
    present = _TYPE_NAMES.get((old.api, name), name)
    if old.api == "inference" and present == "inline::meta-reference" and isinstance(config, dict | None):
        config = dict(config or {})
        if name == "meta-reference" and "model" not in config:
            config["model"] = _DEFAULT_MODEL
            changes.append(
                Change(f"{old.path}.config", f"model is now said: {_DEFAULT_MODEL}, the default of that time")
            )
        if "quantization" in config and config["quantization"] is None:
            del config["quantization"]
            changes.append(Change(f"{old.path}.config.quantization", "means nothing and is left out"))
        elif "quantization" in config:
            present = "inline::meta-reference-quantized"
    if present != name:
        changes.append(Change(f"{old.path}.provider_type", f"{name} is now {present}"))
    return replace(old, provider_type=present, config=config)


def _split_safety(old: PublishedProvider, changes: list[Change]) -> list[PublishedProvider]:
    config = dict(old.config or {})
    guard = config.pop("llama_guard_shield", None)
    has_prompt_guard = config.pop("enable_prompt_guard", None) is True or bool(config.pop("prompt_guard_shield", None))
    configured = (("llama_guard", bool(guard)), ("prompt_guard", has_prompt_guard))
    keys = old.routing_keys or tuple(key for key, is_there in configured if is_there)
    guard = guard if isinstance(guard, dict) else {}
    parts: dict[str, PublishedProvider] = {}
    for key in keys:
        shield = _SHIELDS.get(key, _LLAMA_GUARD)
        part = parts.get(shield.provider_id) or _part(old, shield, guard)
        name = str(guard.get("model") or shield.name) if shield is _LLAMA_GUARD else shield.name
        names = {**part.shield_names, key: name}
        parts[shield.provider_id] = replace(part, routing_keys=(*part.routing_keys, key), shield_names=names)
    if not parts:
        parts[_LLAMA_GUARD.provider_id] = _part(old, _LLAMA_GUARD, guard)
    if len(parts) > 1:
        parts = {provider_id: replace(part, provider_id=provider_id) for provider_id, part in parts.items()}
    became = " and ".join(part.provider_type for part in parts.values())
    changes.append(Change(f"{old.path}.provider_type", f"{old.provider_type} is now {became}"))
    changes.extend(Change(f"{old.path}.config.{key}", "means nothing any more and is left out") for key in config)
    return list(parts.values())


def _part(old: PublishedProvider, shield: _Shield, guard: Mapping[Any, Any]) -> PublishedProvider:
    excluded = guard.get("excluded_categories")
    config = {"excluded_categories": excluded} if shield is _LLAMA_GUARD and excluded else dict(shield.config)
    return replace(old, provider_type=shield.provider_type, config=config, routing_keys=(), shield_names={})


_Fields = Callable[[dict[Any, Any], str, list[Change]], dict[Any, Any]]


def _url_of_host_and_port(port: int) -> _Fields:
    def present(config: dict[Any, Any], path: str, changes: list[Change]) -> dict[Any, Any]:
        if not {"host", "port"} & config.keys():
            return config
        given = {key: config[key] for key in ("host", "port") if config.get(key) is not None}
        rest = {key: value for key, value in config.items() if key not in ("host", "port")}
        if "url" in rest:
            changes.append(Change(path, "host and port mean nothing beside url and are left out"))
            return rest
        changes.append(Change(path, "host and port are now url"))
        host = str(given.get("host", "localhost"))
        address = host if "://" in host else f"http://{host}"
        return {"url": f"{address}:{given.get('port') or port}", **rest}

    return present


def _renamed(old: str, new: str) -> _Fields:
    def present(config: dict[Any, Any], path: str, changes: list[Change]) -> dict[Any, Any]:
        if old not in config:
            return config
        if new in config:
            changes.append(Change(f"{path}.{old}", f"means nothing beside {new} and is left out"))
            return {key: value for key, value in config.items() if key != old}
        changes.append(Change(f"{path}.{old}", f"is now {new}"))
        return {new if key == old else key: value for key, value in config.items()}

    return present


_CONFIG_FIELDS: Mapping[tuple[str, str], tuple[_Fields, ...]] = {
    ("inference", "remote::ollama"): (_url_of_host_and_port(11434),),
    ("inference", "remote::hf::serverless"): (_renamed("model_id", "huggingface_repo"),),
    ("inference", "remote::hf::endpoint"): (
        _renamed("hf_endpoint_name", "endpoint_name"),
        _renamed("hf_api_token", "api_token"),
    ),
    ("safety", "remote::bedrock"): (_renamed("aws_profile", "profile_name"),),
}
"""Per present type, the functions that bring a config of that time to its present fields."""

__all__ = ["API_NAMES", "FOREIGN_APIS", "Change", "PublishedProvider", "present_providers"]
