import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from hitchpost.config import RunConfig, load_run_config, parse_run_config, read_run_config
from hitchpost.config.document import MAX_VALUES
from hitchpost.config.load import validate_as
from hitchpost.errors import ConfigError

MINIMAL = "providers: {inference: [{provider_id: p, provider_type: 'inline::test'}]}\n"


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    return tmp_path / "my-run.yaml"


def load(path: Path, text: str | bytes, **environ: str) -> Any:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_run_config(path, environ)


def refusal(path: Path, text: str | bytes, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        load(path, text, **environ)
    return refused.value


def problems(data: dict[str, Any], **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse_run_config(data, environ, name="run.yaml")
    return list(refused.value.problems)


# --- the file ---


def test_file_becomes_a_run_config_named_by_its_stem_and_place_with_paths_beside_it(run_yaml: Path) -> None:
    loaded = load(run_yaml, MINIMAL + "plugins: {paths: [mine.py, /else/where.py]}\n")

    assert re.fullmatch("my-run-[0-9a-f]{8}", loaded.config.image_name or "")
    assert loaded.config.plugins.paths == [run_yaml.parent / "mine.py", Path("/else/where.py")]
    assert loaded.config.providers["inference"][0].provider_id == "p"
    assert loaded.notes == []


def test_name_in_the_file_wins(run_yaml: Path) -> None:
    assert load(run_yaml, "image_name: other\n").config.image_name == "other"


@pytest.mark.parametrize("version", ["version: '2'", "version: 2", "", "version: null"])
def test_version_two_is_taken_as_text_number_or_nothing(version: str, run_yaml: Path) -> None:
    assert load(run_yaml, f"{version}\n{MINIMAL}").config.version == "2"


@pytest.mark.parametrize("version", ["'1'", "3", "2.0", "[2]", "true", "v2"])
def test_other_versions_are_refused(version: str, run_yaml: Path) -> None:
    assert refusal(run_yaml, f"version: {version}\n").problems == ("version (line 1): input should be '2'",)


def test_file_with_a_byte_order_mark_is_read(run_yaml: Path) -> None:
    assert load(run_yaml, b"\xef\xbb\xbf" + MINIMAL.encode()).config.providers


def test_absent_file_folder_and_foreign_bytes_say_so(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\xfe")

    messages = []
    for name in ("absent.yaml", ".", "bytes.yaml"):
        with pytest.raises(ConfigError) as refused:
            load_run_config(tmp_path / name, {})
        messages.append(str(refused.value).rpartition("read: ")[2])

    assert messages == ["No such file or directory", "Is a directory", "it is not UTF-8 text"]


@pytest.mark.parametrize("text", ["", "# nothing", "[]", "- a\n", "text", "7", "null", "---\n"])
def test_file_that_is_no_mapping_is_refused(text: str, run_yaml: Path) -> None:
    assert "is not a mapping; it needs at least the key `providers` or `presets`" in str(refusal(run_yaml, text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 'sk-secret", "line 1, column 14: found unexpected end of stream"),
        ("a:\n\t- sk-secret", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("b: [sk-secret\na: 1", "line 2, column 2: expected ',' or ']', but got ':'"),
        ("a: *secret_anchor", "line 1, column 4: found undefined alias 'secret_anchor'"),
        ("a: !!python/object:os.system sk-secret", "line 1, column 4: could not determine a constructor for the tag"),
        ("a: sk-secret\n---\nb: 1", "line 2, column 1: but found another document"),
        ("providers: 1\nproviders: sk-secret", "line 2, column 1: key 'providers' stands here twice"),
        ("providers: {inference: [{config: {a: sk-secret, a: 2}}]}", "line 1, column 49: key 'a' stands here twice"),
        ("? [a]\n: sk-secret", "found unhashable key"),
        ("a: 2024-99-99 # sk-secret", "a date, number or tag can't be read"),
        ("a: !!int sk-secret", "a date, number or tag can't be read"),
        ("a: !!timestamp sk-secret", "a date, number or tag can't be read"),
        ("a: " + "9" * 5000, "a date, number or tag can't be read"),
        ("a: sk-\x00secret", "unacceptable character"),
    ],
)
def test_text_that_is_no_yaml_names_the_place_and_quotes_nothing(text: str, place: str, run_yaml: Path) -> None:
    message = str(refusal(run_yaml, text))

    assert f"{run_yaml} is not YAML: " in message
    assert place in message
    assert "sk-" not in message


def bomb(reference: str) -> str:
    lines = ["a0: &a0 {x0: 1}"]
    for level in range(1, 12):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(reference.format(level=level, aliases=aliases))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "reference",
    ["a{level}: &a{level} [{aliases}]", "a{level}: &a{level} {{<<: [{aliases}]}}"],
    ids=["aliases", "merges"],
)
def test_few_lines_that_stand_for_billions_of_values_are_refused_at_once(reference: str, run_yaml: Path) -> None:
    assert f"it holds more than {MAX_VALUES} values with its aliases written out" in str(
        refusal(run_yaml, bomb(reference))
    )


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "&x a: *x\nb: &y {c: &z [*y]}"])
def test_alias_for_what_it_stands_in_is_refused(text: str, run_yaml: Path) -> None:
    assert "an alias stands for what it is in" in str(refusal(run_yaml, text))


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000])
def test_deep_nesting_is_refused(text: str, run_yaml: Path) -> None:
    assert "is nested too deeply" in str(refusal(run_yaml, text)) or "is not YAML" in str(refusal(run_yaml, text))


def test_aliases_and_merge_keys_do_what_yaml_says(run_yaml: Path) -> None:
    loaded = load(
        run_yaml,
        "providers:\n"
        "  inference:\n"
        "  - &first {provider_id: a, provider_type: 'inline::test', limits: &limits {timeout_s: 5}}\n"
        "  - {<<: *first, provider_id: b}\n"
        "  - {provider_id: c, provider_type: 'inline::test', limits: *limits}\n",
    )

    entries = loaded.config.providers["inference"]
    assert [(entry.provider_id, entry.limits.timeout_s) for entry in entries] == [("a", 5), ("b", 5), ("c", 5)]


@given(text=st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>'\"#%@,? \n\t0<~=")), max_size=60))
def test_no_text_does_anything_but_load_or_be_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)

    try:
        load_run_config(path, {})
        said = str(path)
    except ConfigError as error:
        said = str(error)

    assert str(path) in said


# --- lines ---


def test_problems_and_notes_have_lines_and_come_in_their_order(run_yaml: Path) -> None:
    run_yaml.write_text(
        "server: {port: x}\n"
        "colour: red\n"
        "providers:\n"
        "  inference:\n"
        "  - provider_id: p\n"
        "    limits:\n"
        "      timeout_s: 0\n"
    )

    loaded = read_run_config(run_yaml, {})

    with pytest.raises(ConfigError) as refused:
        loaded.check(["providers.inference[0].config.url: field required", "presets: nowhere"])
    assert [problem.partition(": ")[0] for problem in refused.value.problems] == [
        "presets",
        "server.port (line 1)",
        "providers.inference[0].provider_type (line 5)",
        "providers.inference[0].config.url (line 5)",
        "providers.inference[0].limits.timeout_s (line 7)",
    ]
    assert [loaded.located(note) for note in loaded.notes] == ["colour (line 2): unknown key, ignored"]


def test_problem_of_an_upgraded_file_has_the_line_that_it_came_from(run_yaml: Path) -> None:
    text = "routing_table:\n  inference:\n  - provider_type: remote::tgi\n    config: {url: '${env.GONE}'}\n"

    assert refusal(run_yaml, text).problems == (
        "providers.inference[0].config.url (line 4): environment variable GONE is not set and has no default",
    )


def test_part_that_came_by_an_alias_has_the_line_of_what_the_alias_stands_for(run_yaml: Path) -> None:
    text = "a: &limits\n  timeout_s: 0\nproviders:\n  inference:\n  - provider_id: p\n    provider_type: t\n    limits: *limits\n"

    assert refusal(run_yaml, text).problems == (
        "providers.inference[0].limits.timeout_s (line 2): input should be greater than 0",
    )


# --- what can be read of a file with problems ---


def test_what_is_sound_is_read_beside_what_is_not(run_yaml: Path) -> None:
    run_yaml.write_text(
        "providers:\n"
        "  inference: [{provider_id: a, provider_type: t, config: 7}, 8, {provider_id: b, provider_type: t}]\n"
        "  safety: x\n"
        "models: [{model_id: m}, 7, {model_id: n}]\n"
        "presets: [a, 7, b]\n"
        "server: {port: 9000, host: [x]}\n"
    )

    loaded = read_run_config(run_yaml, {})

    first, second, third = loaded.config.providers["inference"]
    assert (first.provider_id, first.config, third.provider_id) == ("a", {}, "b")
    assert not hasattr(second, "provider_id")
    assert [getattr(model, "model_id", None) for model in loaded.config.models] == ["m", None, "n"]
    assert loaded.config.presets == ["a", "", "b"]
    assert (loaded.config.server.port, loaded.config.server.host) == (9000, "127.0.0.1")
    assert len(loaded.problems) == 6


def test_wrong_choice_of_plugins_is_refused_before_any_is_loaded(run_yaml: Path) -> None:
    run_yaml.write_text("plugins: {deny: acme}\nserver: {port: x}\n")

    with pytest.raises(ConfigError) as refused:
        read_run_config(run_yaml, {})

    assert len(refused.value.problems) == 2


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.sampled_from([*RunConfig.model_fields, "routing_table", "api_providers", "conda_env", "x"])


@given(st.dictionaries(SECTIONS, JSON_LIKE, max_size=4))
def test_no_data_does_anything_but_load_or_be_refused(data: dict[Any, Any]) -> None:
    try:
        found = parse_run_config(data, {}, name="any").problems
    except ConfigError as error:
        found = [] if error.problems else ["refused without a problem"]

    assert found == []


# --- what it says ---


def test_every_problem_is_reported_at_once_with_its_path() -> None:
    data = {
        "providers": {
            "inference": [
                {"provider_id": "a b", "provider_type": "inline::test", "limits": {"timeout_s": 0, "max_queue": 1}},
                {"provider_type": "", "config": []},
                7,
            ],
            "safety": None,
        },
        "models": [{"provider_id": "p"}, {"model_id": "${env.MODEL}"}],
        "server": {"port": 70000, "hots": "x"},
        "plugins": {"paths": "mine.py"},
    }

    found = problems(data)

    assert [problem.partition(":")[0] for problem in found] == [
        "models[1].model_id",
        "providers.inference[0].provider_id",
        "providers.inference[0].limits.timeout_s",
        "providers.inference[0].limits.max_queue",
        "providers.inference[1].provider_id",
        "providers.inference[1].provider_type",
        "providers.inference[1].config",
        "providers.inference[2]",
        "providers.safety",
        "models[0].model_id",
        "plugins.paths",
        "server.port",
        "server.hots",
    ]
    assert "providers.inference[0].limits.max_queue: unknown key" in found
    assert "models[1].model_id: environment variable MODEL is not set and has no default" in found


def test_message_counts_and_lists_the_problems() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_run_config({"version": "1", "presets": 7}, {}, name="run.yaml")

    assert str(refused.value) == (
        "run config run.yaml has 2 problems\n  - version: input should be '2'\n  - presets: input should be a valid list"
    )


def test_problems_show_no_values() -> None:
    secret = {"api_key": "sk-secret"}
    data = {
        "providers": {"inference": [{"provider_id": ["sk-secret"], "provider_type": secret, "config": "sk-secret"}]},
        "server": {"port": "sk-secret", "host": secret},
        "models": [{"model_id": 7, "metadata": "sk-secret"}],
        "image_name": secret,
    }

    assert "sk-" not in "".join(problems(data))


def test_filled_values_take_the_types_of_their_fields() -> None:
    config = parse_run_config({"server": {"port": "${env.PORT:9000}"}}, {"PORT": "8000"}, name="run.yaml").config

    assert config.server.port == 8000


def test_unknown_and_obsolete_keys_are_noted_and_harmless() -> None:
    loaded = parse_run_config(
        {
            "conda_env": "x",
            "docker_image": None,
            "datasets": [],
            "modles": [{"model_id": "${env.NOT_NEEDED}"}],
            7: 1,
            "models": [{"model_id": "m", "provider_modelid": "x"}],
        },  # type: ignore[dict-item]
        {},
        name="run.yaml",
    )

    assert loaded.notes == [
        "conda_env: means nothing to Hitchpost and is ignored",
        "modles: unknown key, ignored",
        "7: unknown key, ignored",
        "models[0].provider_modelid: unknown key, ignored",
    ]


def test_apis_of_published_files_that_are_not_ours_are_noted_and_left_out() -> None:
    entry = {"provider_id": "x", "provider_type": "inline::x", "config": {"path": "${env.NOT_NEEDED}"}}

    loaded = parse_run_config({"providers": {"scoring": [entry], "datasetio": [], "safety": []}}, {}, name="r")

    assert loaded.notes == [
        "providers.datasetio: Hitchpost has no API of this name; its providers are ignored",
        "providers.scoring: Hitchpost has no API of this name; its providers are ignored",
    ]
    assert list(loaded.config.providers) == ["safety"]


def test_resources_of_every_kind_are_typed() -> None:
    params = {"memory_bank_type": "vector", "embedding_model": "m", "chunk_size_in_tokens": 512}

    config = parse_run_config(
        {"shields": [{"shield_id": "s", "typo": 1}], "memory_banks": [{"memory_bank_id": "b", "params": params}]},
        {},
        name="r",
    )

    assert config.notes == ["shields[0].typo: unknown key, ignored"]
    assert config.config.shields[0].shield_id == "s"
    assert config.config.memory_banks[0].resource("p").chunk_size_in_tokens == 512


@pytest.mark.parametrize(
    ("store", "found"),
    [
        ({"type": "sqlite", "db_path": "~/x.db", "namespace": None}, []),
        ({"type": "postgres"}, ["metadata_store.user: field required"]),
        ({"type": "sqlite", "dbpath": 1}, ["metadata_store.dbpath: unknown key"]),
        ({"type": "etcd"}, ["metadata_store: `type` is one of sqlite, memory, redis and postgres"]),
    ],
)
def test_metadata_store_is_typed_and_its_problems_have_the_files_paths(store: Any, found: list[str]) -> None:
    assert (problems({"metadata_store": store}) if found else []) == found


def test_provider_without_config_or_with_an_empty_one_has_none() -> None:
    entry = {"provider_id": "p", "provider_type": "t"}

    config = parse_run_config({"providers": {"inference": [entry, {**entry, "config": None}]}}, {}, name="r").config

    assert [entry.config for entry in config.providers["inference"]] == [{}, {}]


def test_empty_sections_are_their_defaults() -> None:
    config = parse_run_config(
        dict.fromkeys(["providers", "models", "presets", "server", "plugins", "apis"]), {}, name="r"
    ).config

    assert (config.providers, config.models, config.server.port, config.plugins.allow) == ({}, [], 8321, None)


# --- validation of a part ---


class Part(BaseModel, extra="forbid"):
    url: str
    tags: dict[str, list[int]] = {}


def test_valid_part_becomes_its_model() -> None:
    found: list[str] = []

    assert validate_as(Part, {"url": "u"}, "a.config", found) == Part(url="u")
    assert found == []


def test_invalid_part_is_reported_below_its_path() -> None:
    found: list[str] = []

    assert validate_as(Part, {"tags": {"x": [1, "y"]}, "typo": 1}, "a[0].config", found) is None
    assert [problem.partition(":")[0] for problem in found] == [
        "a[0].config.url",
        "a[0].config.tags.x[1]",
        "a[0].config.typo",
    ]


def test_files_of_one_name_in_two_places_are_two_stacks(tmp_path: Path) -> None:
    names = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.yaml").write_text(MINIMAL)
        names.add(load_run_config(tmp_path / folder / "run.yaml", {}).config.image_name)

    assert len(names) == 2


# --- paths ---


@pytest.mark.parametrize(
    ("written", "meant"),
    [("kept/store.db", "{folder}/kept/store.db"), ("/srv/a.db", "/srv/a.db"), ("~/a.db", "{home}/a.db")],
)
def test_path_of_the_store_is_relative_to_the_run_config(
    written: str, meant: str, run_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    loaded = load(run_yaml, f"{MINIMAL}metadata_store: {{type: sqlite, db_path: {written}}}\n")

    assert str(loaded.config.metadata_store.db_path) == meant.format(folder=tmp_path, home=tmp_path / "home")


def test_path_stays_right_when_the_current_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(Path("run.yaml"), f"{MINIMAL}metadata_store: {{type: sqlite, db_path: a.db}}\n")

    assert loaded.config.metadata_store.db_path == tmp_path / "a.db"


def test_config_that_is_no_file_leaves_paths_relative() -> None:
    data = {"metadata_store": {"type": "sqlite", "db_path": "a.db"}}

    assert parse_run_config(data, {}, name="given").config.metadata_store.db_path == Path("a.db")


def test_home_of_nobody_is_a_problem_of_its_path(run_yaml: Path) -> None:
    error = refusal(run_yaml, f"{MINIMAL}metadata_store: {{type: sqlite, db_path: '~no-such-user/a.db'}}\n")

    assert "metadata_store.db_path (line 2): the home directory that it begins with isn't there" in str(error)
