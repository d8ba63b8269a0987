"""The run config that a host really goes by: placeholders filled, defaults written out, secrets masked."""

from typing import Any

from pydantic_core import to_jsonable_python

from hitchpost.config import LoadedRunConfig
from hitchpost.config.annotated_yaml import annotated_yaml
from hitchpost.config.placeholders import join_path
from hitchpost.config.secrets import MASK, is_secret_name, masked
from hitchpost.stack.plan import ProviderPlan, StackPlan


def effective_yaml(loaded: LoadedRunConfig, plan: StackPlan) -> str:
    """The effective config as YAML, with a comment behind each value that says where it came from."""
    config = loaded.config.model_dump(mode="json", exclude={"providers"})
    planned = {provider.origin: provider for provider in plan.providers}
    providers = {
        api: [
            {
                **entry.model_dump(mode="json"),
                "config": _effective_config(planned.get(f"providers.{api}[{index}]"), entry.config),
            }
            for index, entry in enumerate(entries)
        ]
        for api, entries in loaded.config.providers.items()
    }
    ordered = {key: providers if key == "providers" else config[key] for key in type(loaded.config).model_fields}
    shown = _without_filled_secrets(masked(ordered), loaded, "")
    return annotated_yaml(shown, lambda path: _source(loaded, path))


def _effective_config(planned: ProviderPlan | None, given: dict[str, Any]) -> Any:
    if planned is None or planned.config is None:
        return given
    return to_jsonable_python(planned.config, fallback=str)


def _without_filled_secrets(value: Any, loaded: LoadedRunConfig, path: str) -> Any:
    if isinstance(value, dict):
        return {key: _without_filled_secrets(member, loaded, join_path(path, key)) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_filled_secrets(item, loaded, join_path(path, index)) for index, item in enumerate(value)]
    filling = loaded.fillings.get(path)
    if value and filling and any(map(is_secret_name, (*filling.variables, *filling.defaults))):
        return MASK
    return value


def _source(loaded: LoadedRunConfig, path: str) -> str:
    if not _has(loaded.upgraded.data, path):
        return "the file's name and place" if path == "image_name" else "default"
    line = loaded.find_line(path)
    where = "the upgrade" if line is None else f"line {line}"
    filling = loaded.fillings.get(path)
    if filling is None:
        return where
    taken = [f"environment variable {name}" for name in filling.variables]
    return ", ".join([where, *taken, *(f"default of {name}, which is not set" for name in filling.defaults)])


def _has(data: Any, path: str) -> bool:
    """Whether parsed YAML has something at a path."""
    pending = [(data, "")]
    while pending:
        value, at = pending.pop()
        if at == path:
            return True
        steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [
            (child, below)
            for step, child in steps
            if path.startswith(below := join_path(at, step)) and path[len(below) : len(below) + 1] in ("", ".", "[")
        ]
    return False


__all__ = ["effective_yaml"]
