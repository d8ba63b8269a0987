"""Older run configs; the files in `published` have the shapes of their time in our own words."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.config import parse_run_config
from hitchpost.config.upgrade import OLD_KEYS, upgrade_run_config
from hitchpost.errors import ConfigError

PUBLISHED = Path(__file__).with_name("published")
ERAS = ["august", "september", "october"]


def published(name: str) -> Any:
    return yaml.safe_load((PUBLISHED / f"{name}.yaml").read_text())


def changes(data: dict[str, Any]) -> list[str]:
    return [str(change) for change in upgrade_run_config(data).changes]


# --- whole files ---


@pytest.mark.parametrize("era", ERAS)
def test_file_of_an_era_becomes_version_2(era: str) -> None:
    upgraded = upgrade_run_config(published(era))

    assert upgraded.problems == ()
    assert upgraded.data == published(f"{era}.upgraded")


@pytest.mark.parametrize("era", ERAS)
def test_upgraded_file_loads(era: str) -> None:
    loaded = parse_run_config(published(era), {"HF_TOKEN": "x"}, name=era)

    assert loaded.changes
    assert loaded.config.version == "2"


@pytest.mark.parametrize("name", [*(f"{era}.upgraded" for era in ERAS), "november"])
def test_upgrade_of_the_present_form_changes_nothing(name: str) -> None:
    upgraded = upgrade_run_config(published(name))

    assert upgraded.changes == ()
    assert upgraded.data == published(name)


def test_given_data_stays_as_it_was() -> None:
    data = published("september")
    before = deepcopy(data)

    upgrade_run_config(data)

    assert data == before


def test_every_change_is_told_with_its_place_in_the_given_file() -> None:
    assert changes(published("october")) == [
        "providers.inference[0].provider_type: meta-reference is now inline::meta-reference-quantized",
        "providers.inference[1].config.model_id: is now huggingface_repo",
        "providers.safety[0].provider_type: meta-reference is now inline::llama-guard",
        "providers.safety[1].config.aws_profile: is now profile_name",
        "providers.memory[0].provider_type: meta-reference is now inline::faiss",
    ]


def test_parts_that_moved_are_known_by_where_they_were() -> None:
    upgraded = upgrade_run_config(published("september"))

    assert [
        upgraded.given_path(path)
        for path in (
            "providers.inference[1].config.url",
            "providers.safety[3].config",
            "providers.agents[0]",
            "models[1].model_id",
            "image_name",
        )
    ] == [
        "routing_table.inference[1].config.url",
        "routing_table.safety[0].config",
        "api_providers.agents",
        "routing_table.inference[1].routing_key.model_id",
        "image_name",
    ]


# --- the shape ---


def test_single_provider_takes_the_place_of_the_routing_table_as_it_did() -> None:
    data = {
        "routing_table": {"inference": [{"provider_type": "remote::tgi", "config": {}, "routing_key": "m"}]},
        "api_providers": {"inference": {"provider_type": "remote::ollama", "config": {}}},
    }

    upgraded = upgrade_run_config(data)

    assert [entry["provider_id"] for entry in upgraded.data["providers"]["inference"]] == ["remote::ollama"]
    assert "models" not in upgraded.data
    assert "api_providers.inference takes its place" in str(upgraded.changes[0])


def test_placeholder_without_a_routing_table_is_left_out_and_told() -> None:
    data = {"api_providers": {"memory": {"providers": ["meta-reference"]}}}

    upgraded = upgrade_run_config(data)

    assert upgraded.data == {"version": "2", "providers": {}}
    assert str(upgraded.changes[0]).startswith("api_providers.memory: names no single provider")


def test_old_keys_beside_providers_are_left_out_and_told() -> None:
    data = {"version": "2", "providers": {"inference": []}, "apis_to_serve": []} | {"apis_to_serve": ["x"]}
    data["providers"] = {"inference": [{"provider_id": "p", "provider_type": "remote::tgi"}]}

    upgraded = upgrade_run_config(data)

    assert upgraded.data == {"version": "2", "providers": data["providers"]}
    assert [change.path for change in upgraded.changes] == ["apis_to_serve"]


def test_type_with_a_slash_makes_an_id_without_one() -> None:
    data = {"provider_map": {"safety": {"provider_type": "meta-reference/codeshield"}}}

    [entry] = upgrade_run_config(data).data["providers"]["safety"]

    assert entry == {"provider_id": "meta-reference-codeshield", "provider_type": "inline::code-scanner", "config": {}}


@pytest.mark.parametrize("version", [None, "v1", "1", 1, "2", 2])
def test_versions_of_old_files_become_2(version: Any) -> None:
    data = {"version": version, "provider_map": {}}

    assert str(upgrade_run_config(data).data["version"]) == "2"


@pytest.mark.parametrize("version", ["3", 3, True, 2.0, [2]])
def test_versions_that_nobody_knows_stay_and_are_refused(version: Any) -> None:
    with pytest.raises(ConfigError, match="version: input should be '2'"):
        parse_run_config({"version": version, "provider_map": {}}, {}, name="r")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"routing_table": 7}, "routing_table: should be a mapping from API to providers"),
        ({"routing_table": {"inference": {}}}, "routing_table.inference: should be a list of providers"),
        (
            {"routing_table": {"inference": [7]}},
            "routing_table.inference[0]: should be a mapping with provider_type and config",
        ),
        (
            {"provider_map": {"inference": 7}},
            "provider_map.inference: should be a mapping with provider_type and config",
        ),
        (
            {"provider_map": {"inference": {"provider_type": 7}}},
            "provider_map.inference.provider_type: should name a provider type",
        ),
        (
            {"routing_table": {"inference": [{"provider_id": "x", "routing_key": [7]}]}},
            "routing_table.inference[0].routing_key: should be a name or a list of names",
        ),
        ({"apis_to_serve": 7}, "apis: input should be a valid list"),
    ],
)
def test_what_can_not_be_read_is_a_problem_with_its_place(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_run_config(data, {}, name="r")

    assert refused.value.problems == (problem,)


# --- types and fields ---


def present(api: str, provider_type: str, config: Any) -> list[tuple[str, str, Any]]:
    """A provider `p` of version 2 in its present form."""
    entry = {"provider_id": "p", "provider_type": provider_type, "config": config}
    entries = upgrade_run_config({"providers": {api: [entry]}}).data["providers"][api]
    return [(entry["provider_id"], entry["provider_type"], entry["config"]) for entry in entries]


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({"host": "box", "port": 1}, {"url": "http://box:1"}),
        ({"port": 1}, {"url": "http://localhost:1"}),
        ({"host": "box", "port": None}, {"url": "http://box:11434"}),
        ({"host": "https://box", "port": 1}, {"url": "https://box:1"}),
        ({"host": "box", "url": "u"}, {"url": "u"}),
        ({"host": "${env.H}", "port": "${env.P:1}"}, {"url": "http://${env.H}:${env.P:1}"}),
        ({"url": "u"}, {"url": "u"}),
        ({}, {}),
    ],
)
def test_host_and_port_of_ollama_become_its_url(given: dict[str, Any], config: dict[str, Any]) -> None:
    assert present("inference", "remote::ollama", given) == [("p", "remote::ollama", config)]


@pytest.mark.parametrize(
    ("given", "provider_type", "config"),
    [
        ({}, "inline::meta-reference", {"model": "Llama3.1-8B-Instruct"}),
        ({"model": "m", "quantization": None}, "inline::meta-reference", {"model": "m"}),
        ({"model": "m", "quantization": {"type": "bf16"}}, "inline::meta-reference-quantized", None),
    ],
)
def test_quantization_tells_the_type_of_meta_reference(given: dict[str, Any], provider_type: str, config: Any) -> None:
    assert present("inference", "meta-reference", given) == [("p", provider_type, config or given)]


def test_new_field_beside_its_old_name_wins() -> None:
    assert present("safety", "remote::bedrock", {"aws_profile": "a", "profile_name": "b"}) == [
        ("p", "remote::bedrock", {"profile_name": "b"})
    ]


@pytest.mark.parametrize(
    ("config", "entries", "shields"),
    [
        ({}, [("p", "inline::llama-guard", {})], []),
        ({"llama_guard_shield": None, "enable_prompt_guard": False}, [("p", "inline::llama-guard", {})], []),
        (
            {"enable_prompt_guard": True},
            [("p", "inline::prompt-guard", {})],
            [{"shield_id": "prompt_guard", "provider_id": "p", "provider_shield_id": "Prompt-Guard-86M"}],
        ),
        (
            {"llama_guard_shield": {"excluded_categories": ["S1"]}},
            [("p", "inline::llama-guard", {"excluded_categories": ["S1"]})],
            [{"shield_id": "llama_guard", "provider_id": "p", "provider_shield_id": "Llama-Guard-3-1B"}],
        ),
    ],
)
@pytest.mark.parametrize("name", ["meta-reference", "inline::meta-reference"])
def test_safety_of_october_becomes_the_types_that_have_its_shields(
    name: str, config: dict[str, Any], entries: Any, shields: Any
) -> None:
    data = {"providers": {"safety": [{"provider_id": "p", "provider_type": name, "config": config}]}}

    upgraded = upgrade_run_config(data).data

    assert present("safety", name, config) == entries
    assert upgraded.get("shields", []) == shields


@pytest.mark.parametrize("provider_type", ["remote", "remote::tgi", "inline::own", "own", ""])
def test_other_types_stay_as_they_are(provider_type: str) -> None:
    assert present("inference", provider_type, {"x": 1}) == [("p", provider_type, {"x": 1})]


# --- anything ---

TYPES = st.sampled_from(
    [
        "meta-reference",
        "inline::meta-reference",
        "remote::ollama",
        "remote::bedrock",
        "remote::hf",
        "remote",
        "x/y",
        "",
        "a b",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | TYPES
CONFIG_KEYS = st.sampled_from(
    [
        "host",
        "port",
        "url",
        "quantization",
        "llama_guard_shield",
        "enable_prompt_guard",
        "prompt_guard_shield",
        "aws_profile",
        "model",
    ]
)
KEYS = (
    st.sampled_from(["provider_id", "provider_type", "config", "routing_key", "providers"])
    | CONFIG_KEYS
    | st.text(max_size=3)
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=10
)
CONFIG = st.dictionaries(CONFIG_KEYS, ANYTHING, max_size=4) | ANYTHING
ENTRY = (
    st.fixed_dictionaries(
        {"provider_type": TYPES},
        optional={
            "provider_id": TYPES,
            "config": CONFIG,
            "routing_key": st.lists(TYPES | st.just("llama_guard"), max_size=3),
        },
    )
    | ANYTHING
)
APIS = (
    st.sampled_from(["inference", "safety", "memory", "agents", "models", "agentic_system"])
    | st.integers()
    | st.text(max_size=3)
)
PER_API = st.dictionaries(APIS, st.lists(ENTRY, max_size=3) | ENTRY, max_size=4) | ANYTHING
FILES = st.fixed_dictionaries(
    {},
    optional={
        "version": SCALARS | st.just("v1"),
        "providers": PER_API,
        "models": ANYTHING,
        "shields": ANYTHING,
        **dict.fromkeys(OLD_KEYS, PER_API),
    },
)


@given(FILES)
def test_any_file_is_upgraded_once_and_for_all(data: dict[str, Any]) -> None:
    before = deepcopy(data)

    once = upgrade_run_config(data)
    twice = upgrade_run_config(once.data)

    assert data == before
    assert (twice.data, twice.changes, twice.problems) == (once.data, (), ())
    assert once.changes or once.problems or once.data == data


@given(FILES)
def test_any_file_loads_or_is_refused(data: dict[str, Any]) -> None:
    try:
        found = parse_run_config(data, {}, name="any").problems
    except ConfigError as error:
        found = [] if error.problems else ["refused without a problem"]

    assert found == []
