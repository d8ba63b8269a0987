"""The JSON Schema of a run config, for editors: with the config of every installed provider type in its place."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from hitchpost.api import PROVIDABLE, Api
from hitchpost.config.published_types import FOREIGN_APIS
from hitchpost.config.run_config import OBSOLETE_KEYS, ProviderEntry, RunConfig
from hitchpost.plugin.catalog import KNOWN_ELSEWHERE

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLACEHOLDER = {"type": "string", "pattern": r"\$\{env\.[A-Z0-9_]+(:[^}]*)?\}"}
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_PARTS = ("items", "additionalProperties", "contains", "propertyNames")
_MAPPINGS = ("properties", "patternProperties", "$defs")


def run_config_schema(configs: Mapping[tuple[Api, str], type[BaseModel]]) -> dict[str, Any]:
    """The schema of a whole run config of version 2.

    Args:
        configs: by API and provider type, the pydantic model of a provider's `config`.
    """
    definitions: dict[str, Any] = {}
    schema = _model_schema(RunConfig, "", definitions)
    entry = _model_schema(ProviderEntry, "", definitions)
    properties: dict[str, Any] = {name: _nullable(part) for name, part in schema["properties"].items()}
    properties["version"] = {"enum": ["2", 2], "default": "2"}
    properties["providers"] = {
        "type": ["object", "null"],
        "description": "Per API the providers that serve it.",
        "properties": {
            api.value: {"type": "array", "items": _entry_schema(api, entry, configs, definitions)} for api in PROVIDABLE
        }
        | {api: {"deprecated": True} for api in FOREIGN_APIS},
        "additionalProperties": False,
    }
    properties |= {key: {"description": "Means nothing to Hitchpost.", "deprecated": True} for key in OBSOLETE_KEYS}
    return {
        "$schema": DIALECT,
        "title": "Run config of Hitchpost, version 2",
        "type": "object",
        "properties": properties,
        "$defs": definitions,
    }


def _entry_schema(
    api: Api, entry: dict[str, Any], configs: Mapping[tuple[Api, str], type[BaseModel]], definitions: dict[str, Any]
) -> dict[str, Any]:
    branches = []
    for (of, name), config in sorted(configs.items()):
        if of is api:
            label = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{api.value}-{name}")
            definitions[label] = _model_schema(config, f"{label}.", definitions)
            branches.append(
                {
                    "if": {"properties": {"provider_type": {"const": name}}, "required": ["provider_type"]},
                    "then": _config_of(config, f"#/$defs/{label}"),
                }
            )
    names = [*_names(api, configs), *sorted(_names(api, KNOWN_ELSEWHERE) - _names(api, configs))]
    properties = {
        **entry["properties"],
        "provider_type": {"anyOf": [{"enum": names}, {"type": "string", "minLength": 1}]},
        "config": {"type": ["object", "null"]},
    }
    return {**entry, "properties": properties, "allOf": branches} if branches else {**entry, "properties": properties}


def _config_of(config: type[BaseModel], reference: str) -> dict[str, Any]:
    if any(field.is_required() for field in config.model_fields.values()):
        return {"properties": {"config": {"$ref": reference}}, "required": ["config"]}
    return {"properties": {"config": _nullable({"$ref": reference})}}


def _names(api: Api, types: Iterable[tuple[Api, str]]) -> set[str]:
    return {name for of, name in types if of is api}


def _model_schema(model: type[BaseModel], prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a model; the models in it become definitions under names that begin with `prefix`."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    definitions.update({f"{prefix}{name}": _fillable(part) for name, part in schema.pop("$defs", {}).items()})
    fillable: dict[str, Any] = _fillable(schema)
    return fillable


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """A section that is empty stands for its default. Said in a way in which editors show what is wrong inside."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"if": {"not": {"type": "null"}}, "then": schema}


def _fillable(schema: Any) -> Any:
    """The same, but wherever a scalar is wanted, a string with a placeholder does as well."""
    if not isinstance(schema, dict):
        return schema
    inner = dict(schema)
    for key in _LISTS:
        if key in inner:
            inner[key] = [_fillable(part) for part in inner[key]]
    for key in _PARTS:
        if key in inner:
            inner[key] = _fillable(inner[key])
    for key in _MAPPINGS:
        if key in inner:
            inner[key] = {name: _fillable(part) for name, part in inner[key].items()}
    is_scalar = inner.get("type") in ("integer", "number", "boolean", "string") and "const" not in inner
    is_free_text = inner.get("type") == "string" and not {"pattern", "format", "enum", "maxLength"} & inner.keys()
    if not is_scalar or is_free_text:
        return inner
    about = {key: inner.pop(key) for key in ("title", "description", "default", "deprecated") if key in inner}
    return {**about, "anyOf": [inner, _PLACEHOLDER]}


__all__ = ["run_config_schema"]
