import pytest

from hitchpost.api import Api
from hitchpost.errors import NotFoundError
from hitchpost.plugin import ProviderSpec
from hitchpost.plugin.catalog import KNOWN_ELSEWHERE, NOT_OURS, build_catalog
from hitchpost.plugin.discovery import PluginReport, PluginState


def report(name: str, *types: tuple[str, str]) -> PluginReport:
    specs = [
        ProviderSpec(api=Api(api), provider_type=provider_type, config="acme:Config", factory="acme:Provider")
        for api, provider_type in types
    ]
    return PluginReport(name, f"{name}-dist", provider_specs=specs)


def test_type_is_found_with_the_plugin_that_declares_it() -> None:
    acme = report("acme", ("inference", "remote::acme"), ("safety", "remote::acme"))

    found = build_catalog([acme]).get(Api.safety, "remote::acme")

    assert (found.spec, found.plugin) == (acme.provider_specs[1], acme)


def test_types_of_an_api_come_by_name() -> None:
    catalog = build_catalog(
        [report("b", ("inference", "inline::b"), ("safety", "inline::x")), report("a", ("inference", "inline::a"))]
    )

    assert [entry.spec.provider_type for entry in catalog.of_api(Api.inference)] == ["inline::a", "inline::b"]


def test_unknown_type_is_answered_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="inline::x for inference; installed for inference: inline::a"):
        build_catalog([report("a", ("inference", "inline::a"))]).get(Api.inference, "inline::x")


def test_unknown_type_is_answered_with_the_plugins_that_failed_and_might_offer_it() -> None:
    broken = PluginReport("broken", "broken-dist", state=PluginState.failed, reason="No module named 'secret'")

    with pytest.raises(NotFoundError, match=r"failed to load, `hitchpost plugins` says why: broken$"):
        build_catalog([broken]).get(Api.inference, "inline::x")


@pytest.mark.parametrize(
    ("api", "hint"),
    [
        (Api.inference, "pip install 'hitchpost-meta-reference[inference]'"),
        (Api.agents, "pip install 'hitchpost-meta-reference[agents]'"),
        (Api.telemetry, "installed for telemetry: none"),
    ],
)
def test_type_of_ours_says_what_to_install_for_its_own_api(api: Api, hint: str) -> None:
    with pytest.raises(
        NotFoundError, match="no installed plugin offers provider type inline::meta-reference"
    ) as refused:
        build_catalog([]).get(api, "inline::meta-reference")

    assert hint in refused.value.message


@pytest.mark.parametrize(
    ("api", "name", "instead"),
    [
        (Api.memory, "remote::chromadb", "use inline::faiss or inline::sqlite"),
        (Api.inference, "remote", "no pass-through"),
        (Api.inference, "inline::vllm", "use remote::vllm"),
        (Api.telemetry, "remote::opentelemetry-jaeger", "use inline::meta-reference"),
    ],
)
def test_published_type_that_is_not_ours_says_what_to_use_instead(api: Api, name: str, instead: str) -> None:
    with pytest.raises(NotFoundError, match=f"Hitchpost has no provider type {name} for {api.value}; ") as refused:
        build_catalog([]).get(api, name)

    assert instead in refused.value.message


def test_published_type_that_is_not_ours_is_served_where_a_plugin_offers_it() -> None:
    found = build_catalog([report("a", ("memory", "remote::qdrant"))]).get(Api.memory, "remote::qdrant")

    assert found.plugin.name == "a"


def test_no_type_is_both_ours_and_not() -> None:
    assert not KNOWN_ELSEWHERE.keys() & NOT_OURS.keys()


@pytest.mark.parametrize("count", [2, 3])
def test_type_of_several_distributions_is_nobodys_and_all_are_told(count: int) -> None:
    rivals = [
        report(f"rival{number}", ("inference", "inline::a"), ("inference", f"inline::own{number}"))
        for number in range(count)
    ]

    catalog = build_catalog(rivals)

    with pytest.raises(
        NotFoundError, match=r"rival0-dist .* and rival1-dist .*uninstall one of them or name it in plugins\.deny"
    ):
        catalog.get(Api.inference, "inline::a")
    assert all("neither is used" in rival.warnings[0] and "rival1-dist" in rival.warnings[0] for rival in rivals)
    assert catalog.get(Api.inference, "inline::own0").plugin is rivals[0]


def test_same_type_for_two_apis_is_no_conflict() -> None:
    catalog = build_catalog([report("a", ("inference", "inline::a")), report("b", ("safety", "inline::a"))])

    assert catalog.conflicts == {}
