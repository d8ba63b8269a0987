import asyncio
import logging
from typing import Any

import pytest

from hitchpost.api import Api, Model
from hitchpost.errors import (
    BadBackendAnswerError,
    BadRequestError,
    ConflictError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    ProviderDefectError,
)
from hitchpost.registry import Origin, provider_calls
from tests.plugged import CONTEXT, until
from tests.registry.house import House, answers, hangs, memory_house, model, raises


@pytest.fixture
def house() -> House:
    return memory_house()


class RustPanic(BaseException):
    """Libraries in Rust raise what is no Exception."""


# --- register ---


async def test_accepted_model_is_kept_as_it_is(house: House) -> None:
    kept = await house.announcer.register(model(), CONTEXT)

    assert kept == model()
    assert house.p.told == [("register", "m", CONTEXT)]
    entry = house.registry.find("m")
    assert entry is not None
    assert (entry.resource, entry.origin) == (model(), Origin.api)


async def test_provider_may_complete_a_model_but_not_rename_or_give_it_away(house: House) -> None:
    house.p.then = answers(
        lambda model: model.copy_with(
            identifier="stolen", provider_id="q", provider_resource_id="m:latest", metadata={"a": 1}
        )
    )

    kept = await house.announcer.register(model(), CONTEXT)

    assert kept == model(name="m:latest", a=1)
    assert house.names() == ["m"]


async def test_provider_without_the_hook_accepts_everything(house: House) -> None:
    house.hooks.unregister_provider(Api.inference, "p")

    assert await house.announcer.register(model(), CONTEXT) == model()


@pytest.mark.parametrize(
    ("then", "error"),
    [
        (raises(BadRequestError("not served")), BadRequestError),
        (raises(KeyError("sk-secret")), ProviderDefectError),
        (raises(SystemExit("sk-secret")), ProviderDefectError),
        (raises(RustPanic("sk-secret")), ProviderDefectError),
        (raises(asyncio.CancelledError()), ProviderDefectError),
        (raises(TimeoutError()), ProviderDefectError),
        (answers("yes"), BadBackendAnswerError),
        (answers({"identifier": "m"}), BadBackendAnswerError),
        (hangs, DeadlineExceededError),
    ],
)
async def test_nothing_is_kept_of_what_a_provider_does_not_accept(
    then: Any, error: type[HitchpostError], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_calls, "HOOK_TIMEOUT_S", 0.01)
    house.p.then = then

    with pytest.raises(error) as raised:
        await house.announcer.register(model(), CONTEXT)

    assert raised.value.provider_id == "p"
    assert "secret" not in raised.value.message
    assert house.registry.find("m") is None


async def test_same_identifier_and_provider_answers_the_stored_model_without_asking(house: House) -> None:
    first = await house.announcer.register(model(a=1), CONTEXT)

    assert await house.announcer.register(model(a=2), CONTEXT) is first
    assert len(house.p.told) == 1


async def test_identifier_of_another_owner_is_a_conflict_and_nobody_is_told(house: House) -> None:
    await house.announcer.register(model(), CONTEXT)

    with pytest.raises(ConflictError, match="provider p"):
        await house.announcer.register(model(provider_id="q"), CONTEXT)

    assert house.q.told == []


async def test_registration_that_shadows_is_reported(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.registry.add(model(provider_id="q"), Origin.preset)

    with caplog.at_level(logging.INFO):
        await house.announcer.register(model(), CONTEXT)

    assert "model 'm' of provider p (api) shadows that of provider q (preset)" in caplog.text


async def test_completed_model_may_not_contradict_another_name_of_the_same(house: House) -> None:
    await house.announcer.register(model("a", name="inner", llama_model="A"), CONTEXT)
    house.p.then = answers(
        lambda model: model.copy_with(provider_resource_id="inner") if model.identifier == "b" else None
    )

    with pytest.raises(BadRequestError, match="the same provider resource 'inner'"):
        await house.announcer.register(model("b", llama_model="B"), CONTEXT)

    assert house.names() == ["a"]
    assert house.p.told[-1] == ("unregister", "b", CONTEXT)


async def test_of_two_registrations_at_once_the_second_meets_the_first(house: House) -> None:
    go_on = asyncio.Event()

    async def wait(model: Any) -> None:
        await go_on.wait()

    house.p.then = wait
    first = asyncio.create_task(house.announcer.register(model(a=1), CONTEXT))
    second = asyncio.create_task(house.announcer.register(model(a=2), CONTEXT))
    other = asyncio.create_task(house.announcer.register(model(provider_id="q"), CONTEXT))
    await until(lambda: house.p.told)

    go_on.set()

    assert await first is await second
    with pytest.raises(ConflictError):
        await other
    assert len(house.p.told) == 1
    assert house.q.told == []


async def test_registrations_of_different_models_do_not_wait_for_each_other(house: House) -> None:
    house.p.then = hangs
    stuck = asyncio.create_task(house.announcer.register(model(), CONTEXT))
    await until(lambda: house.p.told)

    await house.announcer.register(model("n", "q"), CONTEXT)

    assert house.names() == ["n"]
    stuck.cancel()


@pytest.mark.parametrize("operation", ["register", "unregister"])
async def test_work_runs_to_its_end_though_the_caller_leaves(operation: str, house: House) -> None:
    if operation == "unregister":
        await house.announcer.register(model(), CONTEXT)
    go_on, ended = asyncio.Event(), []

    async def wait(model: Any) -> None:
        await go_on.wait()
        ended.append(True)

    house.p.then = wait
    work = (
        house.announcer.register(model(), CONTEXT)
        if operation == "register"
        else house.announcer.unregister("m", CONTEXT)
    )
    caller = asyncio.create_task(work)
    await until(lambda: house.p.told and house.p.told[-1][0] == operation)

    caller.cancel()
    await asyncio.wait([caller])
    go_on.set()
    await house.announcer.close()

    assert caller.cancelled()
    assert ended == [True]
    assert house.names() == (["m"] if operation == "register" else [])


async def test_failure_after_the_caller_left_is_nobodys_surprise(house: House) -> None:
    go_on = asyncio.Event()

    async def fail(model: Any) -> None:
        await go_on.wait()
        raise BadRequestError("no")

    house.p.then = fail
    caller = asyncio.create_task(house.announcer.register(model(), CONTEXT))
    await until(lambda: house.p.told)

    caller.cancel()
    await asyncio.wait([caller])
    go_on.set()
    await house.announcer.close()

    assert house.names() == []


async def test_close_gives_up_what_takes_too_long(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.p.then = hangs
    caller = asyncio.create_task(house.announcer.register(model(), CONTEXT))
    await until(lambda: house.p.told)
    monkeypatch.setattr(provider_calls, "HOOK_TIMEOUT_S", 0.01)

    await house.announcer.close()
    await asyncio.wait([caller])

    assert caller.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- unregister ---


async def test_provider_is_told_when_nobody_finds_the_model_any_more(house: House) -> None:
    await house.announcer.register(model(), CONTEXT)
    seen: list[list[str]] = []
    house.p.then = answers(lambda model: seen.append(house.names()))

    await house.announcer.unregister("m", CONTEXT)

    assert seen == [[]]
    assert house.p.told[-1] == ("unregister", "m", CONTEXT)


@pytest.mark.parametrize("then", [raises(KeyError()), raises(SystemExit()), raises(BadRequestError("no")), hangs])
async def test_registration_ends_though_its_provider_fails_at_it(
    then: Any, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await house.announcer.register(model(), CONTEXT)
    monkeypatch.setattr(provider_calls, "HOOK_TIMEOUT_S", 0.01)
    house.p.then = then

    await house.announcer.unregister("m", CONTEXT)

    assert house.names() == []
    assert "provider p failed to unregister m" in caplog.text


async def test_unknown_model_can_not_be_unregistered(house: House) -> None:
    with pytest.raises(NotFoundError):
        await house.announcer.unregister("m", CONTEXT)


# --- announcing again ---


async def test_provider_hears_of_everything_that_is_registered_at_it_and_is_asked_what_it_serves(house: House) -> None:
    house.registry.add(model("a"), Origin.preset)
    house.registry.add(model("b", context_length=1), Origin.preset)
    house.registry.add(model("b"), Origin.config)
    house.registry.add(model("shadowed"), Origin.preset)
    house.registry.add(model("shadowed", "q"), Origin.config)
    house.registry.add(model("p/d", name="d"), Origin.discovered)
    heard: list[Model | None] = []
    house.p.then = answers(heard.append)

    await house.announcer.announce_all("p")

    assert heard == [model("a"), model("b"), model("shadowed"), None]
    assert house.q.told == []


async def test_refused_model_stays_listed_with_the_reason_until_it_is_accepted(house: House) -> None:
    house.registry.add(model("a"), Origin.config)
    house.registry.add(model("b"), Origin.config)

    async def refuse_a(told: Model | None) -> Any:
        if told is None:
            return []
        if told.identifier == "a":
            raise BadRequestError("it is not loaded")
        return None

    house.p.then = refuse_a
    await house.announcer.announce_all("p")
    refused = [(entry.resource.identifier, entry.problem) for entry in house.registry.entries()]
    house.p.then = None
    await house.announcer.announce_all("p")

    assert refused == [("a", "it is not loaded"), ("b", None)]
    assert [entry.problem for entry in house.registry.entries()] == [None, None]


async def test_model_that_is_unregistered_meanwhile_does_not_come_back(house: House) -> None:
    await house.announcer.register(model("a"), CONTEXT)
    await house.announcer.register(model("b"), CONTEXT)
    go_on = asyncio.Event()

    async def wait(told: Model | None) -> Any:
        if told is not None:
            await go_on.wait()

    house.p.then = wait
    announcing = asyncio.create_task(house.announcer.announce_all("p"))
    await until(lambda: len(house.p.told) == 4)
    ending = asyncio.create_task(house.announcer.unregister("b", CONTEXT))
    go_on.set()
    await asyncio.gather(announcing, ending)

    assert house.names() == ["a"]
    assert [hook for hook, name, _ in house.p.told if name == "b"] == ["register", "register", "unregister"]


# --- discovery ---


async def test_discovered_models_are_called_by_their_provider(house: House) -> None:
    house.p.then = answers(
        [Model(provider_resource_id="a", metadata={"context_length": 7}), Model(provider_resource_id="b/c")]
    )

    await house.announcer.discover("p")

    assert [entry.resource for entry in house.registry.entries()] == [
        model("p/a", name="a", context_length=7),
        model("p/b/c", name="b/c"),
    ]


async def test_discovered_models_can_not_claim_a_name_or_an_owner(house: House) -> None:
    house.p.then = answers((Model(identifier="m", provider_id="q", provider_resource_id="a"),))

    await house.announcer.discover("p")

    assert [entry.resource for entry in house.registry.entries()] == [model("p/a", name="a")]


async def _a_generator() -> Any:
    yield model()


@pytest.mark.parametrize(
    "then",
    [
        raises(KeyError()),
        raises(SystemExit()),
        raises(asyncio.CancelledError()),
        raises(BadRequestError("no")),
        answers(None),
        answers("models"),
        answers([model(), "m"]),
        answers({"a": model()}),
        answers(lambda model: (item for item in [1])),
        answers(lambda model: _a_generator()),
        hangs,
    ],
)
async def test_what_was_known_stays_where_a_provider_fails_to_list(
    then: Any, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.p.then = answers([Model(provider_resource_id="a")])
    await house.announcer.discover("p")
    monkeypatch.setattr(provider_calls, "HOOK_TIMEOUT_S", 0.01)
    house.p.then = then

    await house.announcer.discover("p")

    assert house.names() == ["p/a"]
    assert "provider p can't list what it serves" in caplog.text


async def test_discovered_models_come_go_and_are_forgotten(house: House) -> None:
    house.p.then = answers(
        [Model(provider_resource_id="a"), Model(provider_resource_id="a"), Model(provider_resource_id="b")]
    )
    await house.announcer.discover("p")
    first = house.names()
    house.p.then = answers([Model(provider_resource_id="c")])
    await house.announcer.discover("p")
    second = house.names()

    house.announcer.forget_discovered("p")

    assert (first, second, house.names()) == (["p/a", "p/b"], ["p/c"], [])


async def test_host_that_is_being_stopped_does_not_take_it_for_the_providers_failure(house: House) -> None:
    house.p.then = hangs
    announcing = asyncio.create_task(house.announcer.discover("p"))
    await until(lambda: house.p.told)

    announcing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await announcing
