"""The schema for editors agrees with what the loader says."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, SecretStr

from hitchpost.api import Api
from hitchpost.config import parse_run_config
from hitchpost.config.json_schema import run_config_schema
from hitchpost.store import SqliteStoreConfig, StoreConfig

PUBLISHED = Path(__file__).with_name("published")


class Colour(Enum):
    red = "red"
    blue = "blue"


class Pace(BaseModel, extra="forbid"):
    """How fast."""

    token_s: Annotated[float, Field(ge=0)] = 0.0


class AcmeConfig(BaseModel, extra="forbid"):
    url: str
    """Where it is."""
    port: Annotated[int, Field(ge=1)] = 80
    api_key: SecretStr | None = None
    colour: Colour = Colour.red
    mode: Literal["fast", "slow"] = "fast"
    path: Path | None = None
    pace: Pace = Pace()
    store: StoreConfig = SqliteStoreConfig()


class OtherConfig(BaseModel, extra="forbid"):
    pace: dict[str, int] = {}


CONFIGS: dict[tuple[Api, str], type[BaseModel]] = {
    (Api.inference, "remote::acme"): AcmeConfig,
    (Api.memory, "remote::acme"): OtherConfig,
}
VALIDATOR = Draft202012Validator(run_config_schema(CONFIGS))


def complaints(data: Any) -> list[str]:
    """YAML paths of what the schema finds wrong."""
    return sorted("/".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(data))


def acme(api: str = "inference", **config: Any) -> dict[str, Any]:
    return {"providers": {api: [{"provider_id": "p", "provider_type": "remote::acme", "config": config}]}}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(run_config_schema(CONFIGS))


@pytest.mark.parametrize("name", ["august.upgraded", "september.upgraded", "october.upgraded", "november"])
def test_files_of_the_published_shape_are_sound(name: str) -> None:
    assert complaints(yaml.safe_load((PUBLISHED / f"{name}.yaml").read_text())) == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        dict.fromkeys(
            ["providers", "models", "presets", "server", "plugins", "apis", "metadata_store", "docker_image"]
        ),
        {"version": 2, "colour": "unknown keys are only noted", "conda_env": "x"},
        {"providers": {"scoring": [{"anything": 1}]}},
        {"server": {"port": "${env.PORT:8321}"}},
        {"memory_banks": [{"memory_bank_id": "b", "params": {"memory_bank_type": "keyvalue"}}]},
        {"metadata_store": {"type": "sqlite", "db_path": "${env.DIR:~/x}/registry.db"}},
        acme(url="u"),
        acme(
            url="${env.URL}",
            port="${env.PORT:80}",
            api_key="${env.KEY}",
            colour="blue",
            path="~/x",
            pace={"token_s": 1},
        ),
        acme(url="u", store={"type": "redis", "port": "${env.REDIS_PORT:6379}"}),
        acme("memory", pace={"any": 1}),
        {"providers": {"memory": [{"provider_id": "p", "provider_type": "remote::acme"}]}},
        {"providers": {"inference": [{"provider_id": "p", "provider_type": "remote::unknown", "config": {"x": 1}}]}},
    ],
)
def test_what_loads_is_sound(data: Any) -> None:
    environ = {"URL": "u", "KEY": "k"}

    assert complaints(data) == []
    assert parse_run_config(data, environ, name="r").problems == []


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"version": "3"}, "version"),
        ({"providers": {"teleport": []}}, "providers"),
        ({"providers": {"inference": [{"provider_type": "t"}]}}, "providers/inference/0"),
        (
            {"providers": {"inference": [{"provider_id": "a b", "provider_type": "t"}]}},
            "providers/inference/0/provider_id",
        ),
        ({"models": [{"provider_id": "p"}]}, "models/0"),
        ({"server": {"prot": 1}}, "server"),
        ({"server": {"port": 70000}}, "server/port"),
    ],
)
def test_what_is_refused_is_found(data: Any, path: str) -> None:
    assert complaints(data) == [path]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"port": 1}, "config"),
        ({"url": "u", "prot": 1}, "config"),
        ({"url": "u", "port": "many"}, "config/port"),
        ({"url": "u", "colour": "green"}, "config/colour"),
        ({"url": "u", "pace": {"token_s": -1}}, "config/pace/token_s"),
    ],
)
def test_config_of_an_installed_type_is_looked_into(config: Any, path: str) -> None:
    assert complaints(acme(**config)) == [f"providers/inference/0/{path}"]


def test_config_that_has_required_fields_is_missed() -> None:
    assert complaints({"providers": {"inference": [{"provider_id": "p", "provider_type": "remote::acme"}]}}) == [
        "providers/inference/0"
    ]


def test_editors_are_told_what_fields_mean_and_which_types_there_are() -> None:
    schema = run_config_schema(CONFIGS)
    entry = schema["properties"]["providers"]["properties"]["inference"]["items"]

    assert "remote::acme" in entry["properties"]["provider_type"]["anyOf"][0]["enum"]
    assert schema["$defs"]["inference-remote-acme.Pace"]["description"] == "How fast."
    assert schema["properties"]["presets"]["description"] == "Presets to build beside the providers."
