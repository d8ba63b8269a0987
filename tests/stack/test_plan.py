import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from hitchpost.api import Api
from hitchpost.config import parse_run_config, read_run_config
from hitchpost.errors import ConfigError
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.discovery import PluginReport, PluginState
from hitchpost.registry import Origin
from hitchpost.stack import StackPlan, draft_stack, plan_loaded, plan_stack
from tests.plugged import Idle, NoConfig, Plugged, inference, one

PUBLISHED = """
version: '2'
image_name: my-stack
docker_image: null
conda_env: my-stack
apis: [agents, inference, memory, safety, telemetry]
providers:
  inference:
  - provider_id: local
    provider_type: remote::ollama
    config: {url: "${env.OLLAMA_URL:http://localhost:11434}"}
  safety:
  - {provider_id: llama-guard, provider_type: "inline::llama-guard", config: {}}
  memory:
  - provider_id: faiss
    provider_type: inline::faiss
    config: {kvstore: {type: sqlite, db_path: "${env.SQLITE_STORE_DIR:~/.llama/runtime}/faiss_store.db"}}
  agents:
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config: {persistence_store: {type: sqlite, db_path: "${env.SQLITE_STORE_DIR:~/.llama/runtime}/agents_store.db"}}
  telemetry:
  - {provider_id: meta-reference, provider_type: "inline::meta-reference", config: {}}
metadata_store: {type: sqlite, db_path: "${env.SQLITE_STORE_DIR:~/.llama/runtime}/registry.db"}
models:
- model_id: "${env.INFERENCE_MODEL}"
- {model_id: meta-llama/Llama-Guard-3-8B, provider_id: local, provider_model_id: "llama-guard3:8b", metadata: {}}
shields:
- shield_id: meta-llama/Llama-Guard-3-8B
memory_banks: []
"""


class UrlConfig(BaseModel, extra="forbid"):
    url: str
    retries: int = 0

    @field_validator("url")
    @classmethod
    def check(cls, value: str) -> str:
        if value == "explode":
            raise KeyError("a validator of the plugin's own")
        return value


# --- providers ---


def test_provider_is_planned_with_its_type_its_config_and_its_limits(plugged: Plugged) -> None:
    spec = plugged.add(config=UrlConfig)

    [planned] = plugged.plan(one(config={"url": "u", "retries": "3"}, limits={"timeout_s": 5})).providers

    assert (planned.spec, planned.config, planned.problem) == (spec, UrlConfig(url="u", retries=3), None)
    assert planned.limits.timeout_s == 5


def test_every_problem_is_reported_at_once_with_its_place(plugged: Plugged) -> None:
    plugged.add(config=UrlConfig)
    plugged.add(provider_type="inline::needy", needs=["safety"])
    config = inference(
        {"provider_id": "a", "provider_type": "inline::test", "config": {"retries": "many", "typo": 1}},
        {"provider_id": "a", "provider_type": "inline::test", "config": {"url": "u"}},
        {"provider_id": "b", "provider_type": "inline::needy"},
        models=[{"model_id": "m"}, {"model_id": "n", "provider_id": "c"}, {"model_id": "n", "provider_id": "a"}],
        presets=["nothing"],
    )
    config["providers"] |= {"models": [], "teleport": []}

    assert plugged.problems(config) == [
        "providers.inference[0].config.url: field required",
        "providers.inference[0].config.retries: input should be a valid integer, unable to parse string as an integer",
        "providers.inference[0].config.typo: unknown key",
        "providers.inference[1].provider_id: 'a' is taken by providers.inference[0]",
        "providers.models: is provided by the host itself; providers can be given for inference, safety, memory, agents, telemetry",
        "providers.teleport: is no API; providers can be given for inference, safety, memory, agents, telemetry",
        "presets[0]: no loaded plugin has a preset 'nothing'; available: none",
        "models[0].provider_id: missing, and several inference providers are there (a, b)",
        "models[1].provider_id: no inference provider is called 'c'; there are: a, b",
        "models[2].model_id: 'n' is listed at models[1] already",
        "providers.inference[2]: provider type inline::needy needs a provider of safety",
    ]


def test_problems_show_no_values(plugged: Plugged) -> None:
    plugged.add(config=UrlConfig)

    [problem] = plugged.problems(one(config={"url": ["sk-secret"], "retries": 1}))

    assert problem == "providers.inference[0].config.url: input should be a valid string"


def test_same_provider_id_in_two_apis_is_no_clash(plugged: Plugged) -> None:
    plugged.add()
    plugged.add(Idle, api="safety")
    entry = {"provider_id": "p", "provider_type": "inline::test"}

    planned = plugged.plan({"providers": {"inference": [entry], "safety": [entry]}})

    assert [provider.key for provider in planned.providers] == [(Api.inference, "p"), (Api.safety, "p")]


def test_published_run_config_is_planned_with_failed_providers_that_say_what_to_do(plugged: Plugged) -> None:
    import yaml

    plugged.add(provider_type="remote::ollama", config=UrlConfig)
    loaded = parse_run_config(yaml.safe_load(PUBLISHED), {"INFERENCE_MODEL": "llama3.2:3b"}, name="run.yaml")

    planned = plan_stack(loaded.config, plugged.plugins(), build_catalog(plugged.reports))

    ollama, *others = planned.providers
    assert ollama.config == UrlConfig(url="http://localhost:11434")
    assert [provider.problem for provider in others] == [
        f"no installed plugin offers provider type {name} for {api}; {hint}"
        for name, api, hint in [
            ("inline::llama-guard", "safety", "install it with: pip install 'hitchpost-meta-reference[safety]'"),
            ("inline::faiss", "memory", "install it with: pip install 'hitchpost-meta-reference[memory]'"),
            ("inline::meta-reference", "agents", "install it with: pip install 'hitchpost-meta-reference[agents]'"),
            ("inline::meta-reference", "telemetry", "installed for telemetry: none"),
        ]
    ]
    assert [(resource.request.resource("").identifier, resource.provider_id) for resource in planned.resources] == [
        ("llama3.2:3b", "local"),
        ("meta-llama/Llama-Guard-3-8B", "local"),
        ("meta-llama/Llama-Guard-3-8B", "llama-guard"),
    ]


def test_type_of_our_own_that_is_not_installed_says_what_to_install(plugged: Plugged) -> None:
    [planned] = plugged.plan(one(provider_type="inline::meta-reference")).providers

    assert planned.problem is not None
    assert planned.problem.endswith("install it with: pip install 'hitchpost-meta-reference[inference]'")


def test_type_without_its_library_says_what_to_install(plugged: Plugged) -> None:
    plugged.add(requires_modules=["a_library_that_nobody_has"], extra="acme[gpu]")

    [planned] = plugged.plan(one()).providers

    assert planned.problem == (
        "provider type inline::test needs a_library_that_nobody_has, which is not installed; "
        "install it with: pip install 'acme[gpu]'"
    )


def exit_at_import(plugged: Plugged) -> str:
    class Exiting:
        def __getattr__(self, name: str) -> Any:
            raise SystemExit(1)

    return plugged.name(Exiting(), "exiting") + ".Config"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("a_library_that_nobody_has:Config", "module 'a_library_that_nobody_has' is not installed"),
        ("plugged_types:nothing", "AttributeError; the log has the details"),
        (lambda plugged: plugged.name(dict, "not_pydantic"), "TypeError; the log has the details"),
        (lambda plugged: plugged.name(7, "seven"), "TypeError; the log has the details"),
        (exit_at_import, "SystemExit; the log has the details"),
    ],
)
@pytest.mark.parametrize("field", ["config", "provider_data"])
def test_broken_class_of_a_plugin_fails_its_provider_only(
    field: str, broken: Any, reason: str, plugged: Plugged, caplog: pytest.LogCaptureFixture
) -> None:
    plugged.add(provider_type="inline::good")
    name = broken if isinstance(broken, str) else broken(plugged)
    plugged.add(**{field: name})

    with caplog.at_level(logging.ERROR):
        bad, good = plugged.plan(
            inference(
                {"provider_id": "bad", "provider_type": "inline::test"},
                {"provider_id": "good", "provider_type": "inline::good"},
            ),
        ).providers

    assert bad.problem == f"provider type inline::test can't be loaded: {reason}"
    assert good.problem is None
    assert caplog.records[0].exc_info


def test_validator_that_raises_what_it_must_not_fails_its_provider_only(plugged: Plugged) -> None:
    plugged.add(config=UrlConfig)

    [planned] = plugged.plan(one(config={"url": "explode"})).providers

    assert planned.problem is not None
    assert "KeyError" in planned.problem


def test_only_types_that_are_built_are_imported(plugged: Plugged, monkeypatch: pytest.MonkeyPatch) -> None:
    plugged.add()
    plugged.add(provider_type="inline::unused", config="statistics:Nothing", factory="statistics:Nothing")
    monkeypatch.delitem(sys.modules, "statistics", raising=False)

    plugged.plan(one())

    assert "statistics" not in sys.modules


def test_deprecated_type_is_noted_with_its_successor(plugged: Plugged) -> None:
    plugged.add(deprecated="it is slow", replaced_by="inline::fast")

    assert plugged.plan(one()).notes == [
        "providers.inference[0]: provider type inline::test is deprecated: it is slow; use inline::fast"
    ]


# --- order ---


def order(plan: StackPlan) -> list[str]:
    return [f"{provider.api}/{provider.provider_id}" for provider in plan.start_order]


@pytest.mark.parametrize("relation", ["needs", "uses"])
def test_what_others_call_starts_before_them(relation: str, plugged: Plugged) -> None:
    plugged.add(Idle, "inline::agents", api="agents", **{relation: ["safety", "inference", "models"]})
    plugged.add(Idle, "inline::guard", api="safety", **{relation: ["inference"]})
    plugged.add()
    config = {
        "providers": {
            "agents": [{"provider_id": "a", "provider_type": "inline::agents"}],
            "safety": [{"provider_id": "s", "provider_type": "inline::guard"}],
            "inference": [{"provider_id": "i", "provider_type": "inline::test"}],
        }
    }

    assert order(plugged.plan(config)) == ["inference/i", "safety/s", "agents/a"]


def test_api_that_is_only_used_may_be_absent(plugged: Plugged) -> None:
    plugged.add(uses=["safety"])

    assert order(plugged.plan(one())) == ["inference/p"]


def test_circle_is_a_problem_that_names_its_members(plugged: Plugged) -> None:
    plugged.add(needs=["safety"])
    plugged.add(Idle, "inline::guard", api="safety", needs=["inference"])
    config = one()
    config["providers"]["safety"] = [{"provider_id": "s", "provider_type": "inline::guard"}]

    [problem] = plugged.problems(config)

    assert problem.startswith("providers: they need each other in a circle: ")
    assert "inference/p" in problem
    assert "safety/s" in problem


# --- models ---


def test_model_goes_to_the_only_provider(plugged: Plugged) -> None:
    plugged.add()

    [resource] = plugged.plan(one(models=[{"model_id": "m"}])).resources

    assert (resource.request.model_id, resource.provider_id, resource.origin) == ("m", "p", Origin.config)


def test_model_without_any_provider_is_a_problem(plugged: Plugged) -> None:
    assert plugged.problems({"models": [{"model_id": "m"}]}) == [
        "models[0].provider_id: missing, and there is no inference provider"
    ]


@pytest.mark.parametrize(
    "metadata", [{"llama_model": "no-such"}, {"llama_model": 7}, {"capabilities": ["fly"]}, {"capabilities": "chat"}]
)
def test_metadata_that_means_nothing_is_a_problem(metadata: dict[str, Any], plugged: Plugged) -> None:
    plugged.add()
    [key] = metadata

    [problem] = plugged.problems(one(models=[{"model_id": "m", "metadata": metadata}]))

    assert problem.startswith(f"models[0]: metadata.{key} ")


def two_names(second: dict[str, Any], **first: Any) -> dict[str, Any]:
    """A run config with two models of the provider resource `r`, of the second provider unless an entry says otherwise."""
    entries = [{"model_id": name, "provider_model_id": "r", "provider_id": "p"} for name in ("m", "n")]
    providers = [{"provider_id": name, "provider_type": "inline::test"} for name in ("p", "q")]
    return inference(*providers, models=[entries[0] | first, entries[1] | second])


LLAMA_8B, LLAMA_70B = ({"llama_model": f"meta-llama/Llama-3.1-{size}-Instruct"} for size in ("8B", "70B"))


def test_two_models_that_say_different_things_of_one_provider_resource_are_a_problem(plugged: Plugged) -> None:
    plugged.add()

    problems = plugged.problems(two_names({"metadata": LLAMA_70B}, metadata=LLAMA_8B))

    assert problems == [
        "models[1].metadata.llama_model: 'meta-llama/Llama-3.1-70B-Instruct', but models[0] names the same model 'r' "
        "of provider p as 'meta-llama/Llama-3.1-8B-Instruct'"
    ]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param({"metadata": LLAMA_8B}, id="the same"),
        pytest.param({}, id="nothing"),
        pytest.param({"metadata": LLAMA_70B, "provider_id": "q"}, id="another provider"),
        pytest.param({"metadata": LLAMA_70B, "provider_model_id": None}, id="another resource"),
    ],
)
def test_two_models_that_do_not_contradict_each_other_are_fine(second: dict[str, Any], plugged: Plugged) -> None:
    plugged.add()

    assert len(plugged.plan(two_names(second, metadata=LLAMA_8B)).resources) == 2


# --- shields and memory banks ---

VECTOR = {"memory_bank_type": "vector", "embedding_model": "m", "chunk_size_in_tokens": 512}


def of_every_api(**config: Any) -> dict[str, Any]:
    entry = {"provider_id": "p", "provider_type": "inline::test"}
    return {"providers": {api: [entry] for api in ("inference", "safety", "memory")}, **config}


def test_resources_of_every_kind_go_to_the_only_provider_of_their_api(plugged: Plugged) -> None:
    planned = plugged.plan(
        of_every_api(
            models=[{"model_id": "x"}],
            shields=[{"shield_id": "x", "provider_shield_id": "guard"}],
            memory_banks=[{"memory_bank_id": "x", "params": VECTOR}],
        )
    )

    assert [resource.request.resource(resource.provider_id).kind for resource in planned.resources] == [
        "model",
        "shield",
        "memory_bank",
    ]
    assert {resource.provider_id for resource in planned.resources} == {"p"}


def test_problems_of_shields_and_banks_name_their_api(plugged: Plugged) -> None:
    config = of_every_api(
        shields=[{"shield_id": "s", "provider_id": "q"}, {"shield_id": "t"}, {"shield_id": "t"}],
        memory_banks=[{"memory_bank_id": "b", "params": VECTOR}],
    )
    config["providers"]["memory"] = []

    assert plugged.problems(config) == [
        "shields[0].provider_id: no safety provider is called 'q'; there are: p",
        "shields[2].shield_id: 't' is listed at shields[1] already",
        "memory_banks[0].provider_id: missing, and there is no memory provider",
    ]


@pytest.mark.parametrize("api", ["agents", "telemetry"])
def test_second_provider_of_an_api_that_has_one_is_a_problem(api: str, plugged: Plugged) -> None:
    entries = [{"provider_id": name, "provider_type": "inline::test"} for name in "ab"]

    assert plugged.problems({"providers": {api: entries}}) == [
        f"providers.{api}[1]: {api} has one provider, and there is another before it; remove one"
    ]


# --- with what was wrong before ---


def further_problems(plugged: Plugged, run_yaml: Path, text: str) -> list[str]:
    """What the plan finds beside what was found when the file was read."""
    run_yaml.write_text(text)
    loaded = read_run_config(run_yaml, {})
    assert loaded.problems
    return list(draft_stack(loaded.config, plugged.plugins(), build_catalog(plugged.reports), loaded.problems).problems)


def test_the_plan_of_a_file_with_problems_finds_the_others(plugged: Plugged, tmp_path: Path) -> None:
    plugged.add(config=UrlConfig)
    text = """
colour: red
providers:
  inference:
  - {provider_id: a, provider_type: 'inline::test', limits: {timeout_s: 0}, config: {typo: 1, retries: '${env.GONE}'}}
  - {provider_id: a, provider_type: 'inline::test'}
  infrence: []
models: [{model_id: 7}, {model_id: m, provider_id: b}]
"""

    assert further_problems(plugged, tmp_path / "run.yaml", text) == [
        "providers.inference[0].config.url: field required",
        "providers.inference[0].config.typo: unknown key",
        "providers.inference[1].provider_id: 'a' is taken by providers.inference[0]",
        "providers.infrence: is no API; providers can be given for inference, safety, memory, agents, telemetry; "
        "did you mean inference?",
        "models[1].provider_id: no inference provider is called 'b'; there are: a",
    ]


@pytest.mark.parametrize(
    "providers",
    [
        "{inference: [{provider_id: 'a b', provider_type: 'inline::test'}]}",
        "{inference: [{provider_type: 'inline::test'}]}",
        "{inference: [7], safety: [{provider_id: s, provider_type: 'inline::guard'}]}",
        "{inference: [{provider_id: a, provider_type: 'inline::test', config: 7}]}",
        "{inference: [{provider_id: a}], safety: [{provider_id: s, provider_type: 'inline::guard'}]}",
        "7",
        "{inference: 7}",
        "{inference: 7, safety: [{provider_id: s, provider_type: 'inline::guard'}]}",
    ],
)
def test_what_follows_from_a_known_problem_is_not_said_again(providers: str, plugged: Plugged, tmp_path: Path) -> None:
    plugged.add(config=UrlConfig) if "config: 7" in providers else plugged.add()
    plugged.add(Idle, "inline::guard", api="safety", needs=["inference"])
    models = "[{model_id: m}, {model_id: n, provider_id: a}, {model_id: ''}, {model_id: ''}]"

    assert further_problems(plugged, tmp_path / "run.yaml", f"providers: {providers}\nmodels: {models}") == []


def test_every_problem_of_a_file_comes_in_one_error_with_its_line(plugged: Plugged, tmp_path: Path) -> None:
    plugged.add(config=UrlConfig)
    run_yaml = tmp_path / "run.yaml"
    run_yaml.write_text(
        "providers:\n  inference:\n  - {provider_id: p, provider_type: 'inline::test'}\nserver: {port: x}\nmodels: [{}]\n"
    )

    with pytest.raises(ConfigError) as refused:
        plan_loaded(read_run_config(run_yaml, {}), plugged.plugins(), build_catalog(plugged.reports))

    assert str(refused.value).splitlines()[0] == f"run config {run_yaml} has 3 problems"
    assert [problem.partition(": ")[0] for problem in refused.value.problems] == [
        "providers.inference[0].config.url (line 3)",
        "server.port (line 4)",
        "models[0].model_id (line 5)",
    ]


# --- notes ---


def test_apis_that_mean_nothing_here_are_noted(plugged: Plugged) -> None:
    plugged.add()

    assert plugged.plan(one() | {"apis": ["safety", "scoring", "inspect"]}).notes == [
        "apis[0]: safety has no provider and is not served",
        "apis[1]: 'scoring' is no API of this host; ignored",
        "apis: inference has providers and is served although it is not listed",
    ]


def test_plugin_names_that_name_nothing_are_noted(plugged: Plugged) -> None:
    plugged.add()
    plugged.reports.append(PluginReport("kept_out", "acme-llm", state=PluginState.denied))

    notes = plugged.plan(one() | {"plugins": {"allow": ["Test_Plugin", "typo"], "deny": ["Acme.LLM", "typo"]}}).notes

    assert notes == [
        "plugins.allow[1]: no installed plugin or distribution is called 'typo'",
        "plugins.deny[1]: no installed plugin or distribution is called 'typo'",
    ]


def test_unused_config_class_is_fine(plugged: Plugged) -> None:
    plugged.add(config=NoConfig)

    assert plugged.plan({}).providers == ()
