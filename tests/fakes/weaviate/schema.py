"""The collections of the fake: names, properties, and the defaults that a server fills in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CLASS_NAME = re.compile(r"[A-Z][_0-9A-Za-z]{0,254}")
PROPERTY_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,230}")
RESERVED_PROPERTIES = {"id", "_id", "_additional"}
RESERVED_ENDS = ("_searchable", "_rangeable", "_temp", "__meta_count", "_propertyLength", "_nullState")
TENANT_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
TEXTS = ("text", "text[]")


class Refused(Exception):
    """What the server says no with."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass
class Stored:
    """An object."""

    uuid: str
    properties: dict[str, Any]
    vector: tuple[float, ...]
    created_ms: int
    updated_ms: int


@dataclass
class Collection:
    """A class of the schema, with its objects by tenant; None is the tenant of a class without tenants."""

    definition: dict[str, Any]
    objects: dict[str | None, dict[str, Stored]] = field(default_factory=dict)
    tenants: dict[str, str] = field(default_factory=dict)
    dimension: int | None = None

    @property
    def name(self) -> str:
        return str(self.definition["class"])

    @property
    def has_tenants(self) -> bool:
        return bool(self.definition["multiTenancyConfig"]["enabled"])

    @property
    def distance(self) -> str:
        configs = [one["vectorIndexConfig"] for one in self.definition.get("vectorConfig", {}).values()]
        return str((configs or [self.definition.get("vectorIndexConfig", {})])[0].get("distance", "cosine"))

    def find_property(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.definition["properties"] if one["name"] == name), None)

    def shard(self, tenant: str) -> dict[str, Stored]:
        """The objects that a request with this tenant is about; '' is none."""
        if self.has_tenants and not tenant:
            raise Refused(f"class {self.name} has multi-tenancy enabled, but request was without tenant")
        if tenant and not self.has_tenants:
            raise Refused(f"class {self.name} has multi-tenancy disabled, but request was with tenant")
        if self.has_tenants:
            if tenant not in self.tenants:
                raise Refused(f'tenant not found: "{tenant}"')
            if self.tenants[tenant] not in ("HOT", "ACTIVE"):
                raise Refused(f"tenant not active: '{tenant}'")
        return self.objects.setdefault(tenant or None, {})


class Schema:
    """All collections of a server."""

    def __init__(self) -> None:
        self.collections: dict[str, Collection] = {}

    def get(self, name: str) -> Collection:
        """The collection of this name; its first letter may be small."""
        collection = self.collections.get(name[:1].upper() + name[1:])
        if collection is None:
            raise Refused(f"could not find class {name} in schema", 404)
        return collection

    def create(self, wanted: Mapping[str, Any]) -> Collection:
        """Make a collection; names must be valid and may not differ from others by case only."""
        name = str(wanted.get("class", ""))
        name = name[:1].upper() + name[1:]
        if not CLASS_NAME.fullmatch(name):
            raise Refused(f"'{name}' is not a valid class name")
        if name in self.collections:
            raise Refused(f"class name {name} already exists")
        for other in self.collections:
            if other.lower() == name.lower():
                raise Refused(f'class already exists: found similar class "{other}"')
        collection = Collection({**_defaults(wanted), **_given(wanted), "class": name, "properties": []})
        for one in wanted.get("properties") or ():
            self.add_property(collection, one)
        self.collections[name] = collection
        return collection

    def add_property(self, collection: Collection, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Add a property; its first letter becomes small."""
        name = str(wanted.get("name", ""))
        if not PROPERTY_NAME.fullmatch(name) or name in RESERVED_PROPERTIES or name.endswith(RESERVED_ENDS):
            raise Refused(f"'{name}' is not a valid property name")
        name = name[0].lower() + name[1:]
        if collection.find_property(name) is not None:
            raise Refused(f'class {collection.name}: conflict for property "{name}": already in use')
        is_text = wanted["dataType"][0] in TEXTS
        if wanted.get("tokenization") and not is_text:
            raise Refused(f"property '{name}': tokenization is not allowed for data type '{wanted['dataType'][0]}'")
        if wanted.get("indexSearchable") and not is_text:
            raise Refused(f"`indexSearchable` is allowed only for text/text[] data types. property '{name}'")
        kept = {
            "name": name,
            "dataType": list(wanted["dataType"]),
            "indexFilterable": _or(wanted.get("indexFilterable"), True),
            "indexSearchable": _or(wanted.get("indexSearchable"), is_text),
            "indexRangeFilters": _or(wanted.get("indexRangeFilters"), False),
        }
        if is_text:
            kept["tokenization"] = wanted.get("tokenization") or "word"
        collection.definition["properties"].append(kept)
        return kept


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _given(wanted: Mapping[str, Any]) -> dict[str, Any]:
    given = {"description": str(wanted.get("description") or "")}
    if wanted.get("vectorConfig"):
        given["vectorConfig"] = {
            name: {
                "vectorizer": one["vectorizer"],
                "vectorIndexType": one.get("vectorIndexType", "hnsw"),
                "vectorIndexConfig": {**_index_config(), **(one.get("vectorIndexConfig") or {})},
            }
            for name, one in wanted["vectorConfig"].items()
        }
    else:
        given |= {
            "vectorizer": wanted.get("vectorizer", "none"),
            "vectorIndexType": wanted.get("vectorIndexType", "hnsw"),
            "vectorIndexConfig": {**_index_config(), **(wanted.get("vectorIndexConfig") or {})},
        }
    return given


def _defaults(wanted: Mapping[str, Any]) -> dict[str, Any]:
    inverted = wanted.get("invertedIndexConfig") or {}
    tenancy = wanted.get("multiTenancyConfig") or {}
    return {
        "invertedIndexConfig": {
            "bm25": {"b": 0.75, "k1": 1.2, **(inverted.get("bm25") or {})},
            "cleanupIntervalSeconds": inverted.get("cleanupIntervalSeconds", 60),
            "stopwords": {"preset": "en", "additions": [], "removals": [], **(inverted.get("stopwords") or {})},
        },
        "multiTenancyConfig": {
            "enabled": bool(tenancy.get("enabled")),
            "autoTenantCreation": bool(tenancy.get("autoTenantCreation")),
            "autoTenantActivation": bool(tenancy.get("autoTenantActivation")),
        },
        "replicationConfig": {"factor": 1, "asyncEnabled": False, "deletionStrategy": "NoAutomatedResolution"},
        "shardingConfig": {
            "virtualPerPhysical": 128,
            "desiredCount": 1,
            "actualCount": 1,
            "desiredVirtualCount": 128,
            "actualVirtualCount": 128,
            "key": "_id",
            "strategy": "hash",
            "function": "murmur3",
        },
    }


def _index_config() -> dict[str, Any]:
    return {
        "skip": False,
        "cleanupIntervalSeconds": 300,
        "maxConnections": 32,
        "efConstruction": 128,
        "ef": -1,
        "dynamicEfMin": 100,
        "dynamicEfMax": 500,
        "dynamicEfFactor": 8,
        "vectorCacheMaxObjects": 1_000_000_000_000,
        "flatSearchCutoff": 40_000,
        "distance": "cosine",
        "filterStrategy": "sweeping",
        **{kind: {"enabled": False} for kind in ("pq", "bq", "sq", "rq")},
    }
