"""Older run configs brought to version 2, as data.

| era | shape |
|---|---|
| before about September 23, 2024 | `provider_map`: per API one `{provider_type, config}`; `apis_to_serve` |
| until October 10, 2024 | `api_providers`, and `routing_table`: per API a list of `{provider_type, config, routing_key}`; `apis_to_serve` |
| from then on | version `'2'`: `providers`, `apis`; at first with the type names and config fields of before |

Files of September say `provider_id` where later ones say `provider_type`. Placeholders stay as they are.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hitchpost.config.placeholders import join_path, outer_paths
from hitchpost.config.published_types import API_NAMES, Change, PublishedProvider, present_providers

OLD_KEYS = ("routing_table", "api_providers", "provider_map", "apis_to_serve")
_OLD_VERSIONS = (None, "v1", "1", 1, "2", 2)
_BANK_TYPES = ("vector", "keyvalue", "keyword", "graph")
_ROUTED_BY_HOST = ("models", "shields", "memory_banks", "inspect")
_ENTRY_KEYS = ("provider_id", "provider_type", "config")
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:-]+")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A run config in its present form."""

    data: dict[Any, Any]
    changes: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read, with its path in the given file."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Paths of what stood elsewhere in the given file, and where."""

    def given_path(self, path: str) -> str:
        """Where in the given file something stood that is at `path` now."""
        for outer in outer_paths(path):
            if outer in self.moved:
                return self.moved[outer] + path[len(outer) :]
        return path


@dataclass(slots=True)
class _Draft:
    providers: dict[Any, list[tuple[str, Any]]] = field(default_factory=dict)
    """By API, each with its path in the given file; what is no mapping is kept as it is."""
    changes: list[Change] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)


def upgrade_run_config(data: Mapping[Any, Any]) -> Upgraded:
    """Bring a run config of any era to version 2; one that is in its present form comes back as it is. Never raises.

    Args:
        data: what the YAML file holds, with its placeholders.
    """
    draft = _Draft()
    old_keys = [key for key in OLD_KEYS if key in data]
    result = {key: value for key, value in data.items() if key not in OLD_KEYS}
    if old_keys and result.get("providers"):
        what = "belongs to an older form and is left out, since the file has `providers` as well"
        draft.changes += [Change(key, what) for key in old_keys]
    elif old_keys:
        _read_old_shape(data, draft)
        result["providers"] = {}
        if "apis_to_serve" in data:
            result["apis"] = _present_apis(data["apis_to_serve"], draft)
    result = _with_version(result, was_old=bool(old_keys), draft=draft)
    if isinstance(result.get("providers"), dict):
        _read_listed(result["providers"], draft)
        _write_present(result, draft)
    if not draft.changes and not draft.problems:
        return Upgraded(dict(data))
    return Upgraded(result, tuple(draft.changes), tuple(draft.problems), draft.moved)


def _with_version(result: dict[Any, Any], *, was_old: bool, draft: _Draft) -> dict[Any, Any]:
    version = result.get("version")
    known = _OLD_VERSIONS if was_old else ("v1",)
    if isinstance(version, bool) or not isinstance(version, str | int | None) or version not in known:
        return result
    if str(version) == "2":
        return result
    draft.changes.append(Change("version", "is now '2'"))
    return {"version": "2", **{key: value for key, value in result.items() if key != "version"}}


# --- the old shape ---


def _read_old_shape(data: Mapping[Any, Any], draft: _Draft) -> None:
    for api, path, entries in _per_api(data, "routing_table", draft):
        if not isinstance(entries, list):
            draft.problems.append(f"{path}: should be a list of providers")
            continue
        for index, entry in enumerate(entries):
            _read_entry(api, f"{path}[{index}]", entry, draft, number=index if len(entries) > 1 else None)
    single = "api_providers" if data.get("api_providers") else "provider_map"
    for api, path, entry in _per_api(data, single, draft):
        if api in _ROUTED_BY_HOST:
            draft.changes.append(Change(path, f"{api} is served by the host itself; left out"))
        elif not isinstance(entry, dict) or entry.keys() & {"provider_type", "provider_id"}:
            for replaced, _ in draft.providers.pop(api, []):
                draft.changes.append(Change(replaced, f"{path} takes its place, as it did then; left out"))
            _read_entry(api, path, entry, draft)
        elif api not in draft.providers:
            draft.changes.append(Change(path, "names no single provider, and routing_table has none; left out"))


def _per_api(data: Mapping[Any, Any], key: str, draft: _Draft) -> Iterator[tuple[str, str, Any]]:
    section = data.get(key)
    if section is None:
        return
    if not isinstance(section, dict):
        draft.problems.append(f"{key}: should be a mapping from API to providers")
        return
    for name, value in section.items():
        path = join_path(key, name)
        api = API_NAMES.get(name, name) if isinstance(name, str) else str(name)
        if api != name:
            draft.changes.append(Change(path, f"{name} is now {api}"))
        yield api, path, value


def _read_entry(api: str, path: str, entry: Any, draft: _Draft, number: int | None = None) -> None:
    if not isinstance(entry, dict):
        draft.problems.append(f"{path}: should be a mapping with provider_type and config")
        return
    type_key = "provider_type" if "provider_type" in entry else "provider_id"
    provider_type = entry.get(type_key)
    if not isinstance(provider_type, str) or not provider_type:
        draft.problems.append(f"{path}.{type_key}: should name a provider type")
        return
    if type_key == "provider_id":
        draft.changes.append(Change(f"{path}.provider_id", "is the provider_type now"))
    provider_id = _NOT_IN_AN_ID.sub("-", provider_type).strip("-._:") or "provider"
    if number is not None:
        provider_id = f"{provider_id}-{number:02d}"
    provider = PublishedProvider(
        api=api,
        path=path,
        provider_id=provider_id,
        provider_type=provider_type,
        config={} if entry.get("config") is None else entry["config"],
        routing_keys=_routing_keys(entry.get("routing_key"), f"{path}.routing_key", draft),
        rest={key: value for key, value in entry.items() if key not in (*_ENTRY_KEYS, "routing_key")},
    )
    draft.providers.setdefault(api, []).append((path, provider))


def _routing_keys(value: Any, path: str, draft: _Draft) -> tuple[str, ...]:
    keys = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(key, str) and key for key in keys):
        draft.problems.append(f"{path}: should be a name or a list of names")
        return ()
    return tuple(dict.fromkeys(keys))


def _present_apis(value: Any, draft: _Draft) -> Any:
    draft.changes.append(Change("apis_to_serve", "is now apis"))
    draft.moved["apis"] = "apis_to_serve"
    if not isinstance(value, list):
        return value
    return [API_NAMES.get(name, name) if isinstance(name, str) else name for name in value]


# --- version 2 ---


def _read_listed(providers: Mapping[Any, Any], draft: _Draft) -> None:
    for api, entries in providers.items():
        if isinstance(api, str) and isinstance(entries, list):
            paths = [f"{join_path('providers', api)}[{index}]" for index in range(len(entries))]
            draft.providers[api] = [
                (path, _listed(api, path, entry)) for path, entry in zip(paths, entries, strict=True)
            ]


def _listed(api: str, path: str, entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    provider_id, provider_type, config = (entry.get(key) for key in _ENTRY_KEYS)
    return PublishedProvider(api, path, provider_id, provider_type, config, rest=entry)


def _write_present(result: dict[Any, Any], draft: _Draft) -> None:
    """Put the providers into `result` in their present form, and what they were called by into the lists of resources."""
    was_listed = bool(result["providers"])
    result["providers"] = providers = dict(result["providers"])
    for api, given in draft.providers.items():
        entries: list[Any] = []
        providers[api] = entries
        for path, item in given:
            if not isinstance(item, PublishedProvider):
                entries.append(item)
                continue
            for part in present_providers(item, draft.changes):
                now = f"{join_path('providers', api)}[{len(entries)}]"
                if now != path:
                    draft.moved[now] = path
                entries.append(_entry(part))
                if not was_listed:
                    draft.changes.append(Change(path, f"is now {now}, called {part.provider_id}"))
                _write_resources(part, result, draft)


def _entry(provider: PublishedProvider) -> dict[Any, Any]:
    values = {key: getattr(provider, key) for key in _ENTRY_KEYS}
    kept = {key: value for key, value in values.items() if value is not None or key in provider.rest}
    return {**kept, **{key: value for key, value in provider.rest.items() if key not in _ENTRY_KEYS}}


_BANK_PARAMS = {
    "memory_bank_type": "vector",
    "embedding_model": "all-MiniLM-L6-v2",
    "chunk_size_in_tokens": 512,
    "overlap_size_in_tokens": 64,
}
"""Of a bank whose only trace is a routing key: what examples of that time had."""

_RESOURCES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "inference": ("models", "model_id", {}),
    "safety": ("shields", "shield_id", {}),
    "memory": ("memory_banks", "memory_bank_id", {"params": _BANK_PARAMS}),
}
"""By API: the key of the run config that lists its resources, the key of their id, and what else an entry needs."""


def _write_resources(provider: PublishedProvider, result: dict[Any, Any], draft: _Draft) -> None:
    path = f"{provider.path}.routing_key"
    for key in provider.routing_keys:
        if provider.api == "memory" and key in _BANK_TYPES:
            draft.changes.append(Change(path, f"{key!r} is a type of bank, which a registration names; left out"))
        elif provider.api not in _RESOURCES:
            draft.changes.append(Change(path, f"{key!r} is left out: calls of {provider.api} name no resource"))
        else:
            section, id_key, more = _RESOURCES[provider.api]
            entry = {id_key: key, "provider_id": provider.provider_id, **more}
            if key in provider.shield_names:
                entry["provider_shield_id"] = provider.shield_names[key]
            listed = [] if result.get(section) is None else result[section]
            if not isinstance(listed, list) or any(
                isinstance(other, dict)
                and other.get(id_key) == key
                and other.get("provider_id") == provider.provider_id
                for other in listed
            ):
                continue
            draft.moved[f"{section}[{len(listed)}]"] = path
            result[section] = [*listed, entry]
            draft.changes.append(Change(path, f"{key!r} is now an entry of {section}"))


__all__ = ["OLD_KEYS", "Change", "Upgraded", "upgrade_run_config"]
