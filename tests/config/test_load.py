from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from hitchpost.config import load_run_config, parse_run_config
from hitchpost.config.load import MAX_VALUES, validate_as
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


def test_file_becomes_a_run_config_named_by_its_stem_with_paths_beside_it(run_yaml: Path) -> None:
    loaded = load(run_yaml, MINIMAL + "plugins: {paths: [mine.py, /else/where.py]}\n")

    assert loaded.config.image_name == "my-run"
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
    assert refusal(run_yaml, f"version: {version}\n").problems == ("version: input should be '2'",)


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


@pytest.mark.parametrize("key", ["routing_table", "api_providers", "provider_map"])
def test_older_form_is_named(key: str) -> None:
    with pytest.raises(ConfigError, match=f"has an older form .it has the key {key}.; write it as version '2'"):
        parse_run_config({key: {}}, {}, name="run.yaml")


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


def test_sections_that_are_not_served_yet_are_noted() -> None:
    loaded = parse_run_config(
        {"shields": [{"shield_id": "s"}], "memory_banks": [], "metadata_store": {"type": "sqlite"}}, {}, name="r"
    )

    assert loaded.notes == [
        "shields: not served by this version of Hitchpost; ignored",
        "metadata_store: not served by this version of Hitchpost; ignored",
    ]


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
