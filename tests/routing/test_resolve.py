from collections.abc import Sequence

import pytest

from hitchpost.api import Model
from hitchpost.errors import BackendUnavailableError, BadRequestError, NotFoundError
from hitchpost.llama import find_llama_model
from hitchpost.registry import Origin, ResourceRegistry
from hitchpost.routing import Resolver
from hitchpost.routing.resolve import NAMED_AT_MOST

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def model(identifier: str, provider_id: str = "p", name: str | None = None, **metadata: object) -> Model:
    return Model(
        identifier=identifier, provider_id=provider_id, provider_resource_id=name or identifier, metadata=metadata
    )


def resolver(
    *models: Model, discovered: Sequence[Model] = (), providers: Sequence[str] = ("p", "q")
) -> Resolver[Model]:
    registry = ResourceRegistry(Model, find_llama_model)
    for resource in models:
        registry.add(resource, Origin.config)
    for resource in discovered:
        registry.add(resource, Origin.discovered)
    return Resolver(registry, providers)


def test_registered_identifier_comes_before_every_other_name() -> None:
    registered = model("small", "q", name="other")

    assert resolver(model("large", name="small"), registered).get("small") is registered


def test_another_name_of_a_llama_model_finds_it() -> None:
    registered = model("Llama3.1-8B-Instruct", name="llama3.1:8b")

    assert resolver(registered).get(LLAMA) is registered


def test_llama_model_said_in_the_metadata_is_a_name_too() -> None:
    registered = model("mine", llama_model=LLAMA)

    assert resolver(registered).get("Llama3.1-8B-Instruct") is registered


def test_metadata_of_any_form_does_not_disturb_the_search() -> None:
    registered = model("Llama3.1-8B-Instruct")

    assert resolver(model("odd", llama_model=[1]), registered).get(LLAMA) is registered


def test_provider_and_its_name_find_the_registered_model() -> None:
    registered = model("mine", "q", name="org/name")

    assert resolver(model("other", "p", name="org/name"), registered).get("q/org/name") is registered


def test_bare_name_finds_the_one_owner() -> None:
    listed = model("p/small", name="small")

    assert resolver(discovered=[listed]).get("small") is listed


def test_registered_model_takes_the_place_of_the_discovered_one_under_its_names() -> None:
    registered = model("mine", name="small", context_length=7)
    models = resolver(registered, discovered=[model("p/small", name="small")])

    assert models.get("small") is registered
    assert models.get("p/small") is registered


def test_bare_name_of_several_owners_is_refused_with_the_names_to_choose_from() -> None:
    models = resolver(discovered=[model("p/small", "p", "small"), model("q/small", "q", "small")])

    with pytest.raises(
        BadRequestError, match=r"several providers \(p, q\); ask for one of: p/small, q/small"
    ) as refused:
        models.get("small")

    assert refused.value.param == "model_id"


def test_two_names_at_one_owner_are_no_question() -> None:
    models = resolver(model("a", name="small"), model("b", name="small"))

    assert models.get("small").provider_resource_id == "small"


def test_llama_model_of_several_owners_is_refused() -> None:
    with pytest.raises(BadRequestError, match="several providers"):
        resolver(model("a", "p", llama_model=LLAMA), model("b", "q", llama_model=LLAMA)).get(LLAMA)


@pytest.mark.parametrize("identifier", ["", "unknown", "p/", "/small", "r/small", "p/small/more", "x" * 5000, "\x00\n"])
def test_unknown_identifier_is_answered_with_what_there_is(identifier: str) -> None:
    with pytest.raises(NotFoundError, match=r"served by any of the providers: p, q\. Registered: mine") as refused:
        resolver(model("mine", name="small")).get(identifier)

    assert refused.value.param == "model_id"
    assert "POST /alpha/models/register" in refused.value.message
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("providers", "text"),
    [((), "not served by any provider: none is configured"), (("p",), "Model `x` not served by provider: `p`")],
)
def test_message_says_who_was_asked(providers: Sequence[str], text: str) -> None:
    with pytest.raises(NotFoundError, match=text):
        resolver(providers=providers).get("x")


def test_message_does_not_list_a_thousand_models() -> None:
    models = resolver(*(model(f"m{number}") for number in range(1000)))

    with pytest.raises(NotFoundError, match=f"m{NAMED_AT_MOST - 1} and more"):
        models.get("x")


def test_entry_that_its_provider_refuses_is_found_but_not_usable() -> None:
    registry = ResourceRegistry(Model)
    registry.add(model("mine"), Origin.config, problem="no such file")

    with pytest.raises(BackendUnavailableError, match="model 'mine' can't be used: no such file") as refused:
        Resolver(registry, ["p"]).get("mine")

    assert (refused.value.is_permanent, refused.value.provider_id) == (True, "p")


def away(provider_id: str) -> None:
    if provider_id == "q":
        raise BackendUnavailableError("provider q is failed: nothing answers at http://localhost:1")


def test_model_of_a_provider_that_can_not_be_asked_is_unavailable_with_its_reason() -> None:
    registry = ResourceRegistry(Model, find_llama_model)

    with pytest.raises(BackendUnavailableError, match="provider q is failed: nothing answers"):
        Resolver(registry, ["p", "q"], away).get("q/small")


def test_unknown_name_tells_of_providers_that_can_not_be_asked() -> None:
    registry = ResourceRegistry(Model, find_llama_model)

    with pytest.raises(NotFoundError, match="can't be asked now: provider q is failed: nothing answers"):
        Resolver(registry, ["p", "q"], away).get("small")
