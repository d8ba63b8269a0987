"""What hosts on one store know of each other, and what happens while the store is away."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError, ConflictError, NotFoundError
from hitchpost.registry import Origin, persistence
from tests.plugged import CONTEXT, until
from tests.registry.house import House, hangs, model, raises
from tests.registry.shared_store import SharedStore, two_hosts


def meets(other: asyncio.Barrier) -> Callable[[Any], Any]:
    """Waits for the other host the first time that it is told something."""
    waits = [other.wait]

    async def then(told: Any) -> None:
        if told is not None and waits:
            await waits.pop()()

    return then


# --- several hosts ---


async def test_hosts_see_each_others_registrations_and_announce_them_to_their_own_providers() -> None:
    async with two_hosts(SharedStore()) as (here, there):
        registered = await here.announcer.register(model("m", name="inner", a=1), CONTEXT)
        await until(lambda: there.names() == ["m"])
        entry = there.registry.find("m")
        await there.announcer.unregister("m", CONTEXT)
        await until(lambda: here.names() == [])

    assert entry is not None
    assert (entry.resource, entry.origin) == (registered, Origin.api)
    assert there.p.told[-2:] == [("register", "m", None), ("unregister", "m", CONTEXT)]
    assert here.p.told[-2:] == [("register", "m", CONTEXT), ("unregister", "m", None)]


async def test_registration_is_seen_at_once_where_it_is_asked_for_again() -> None:
    async with two_hosts(SharedStore()) as (here, there):
        first = await here.announcer.register(model(a=1), CONTEXT)

        assert await there.announcer.register(model(a=2), CONTEXT) == first
        with pytest.raises(ConflictError, match=r"registered at provider p \(api\)"):
            await there.announcer.register(model(provider_id="q"), CONTEXT)
        await there.announcer.unregister("m", CONTEXT)
        with pytest.raises(NotFoundError):
            await here.announcer.unregister("m", CONTEXT)


@pytest.mark.parametrize("rival", ["p", "q"])
async def test_of_two_hosts_that_register_one_identifier_at_once_exactly_one_wins(rival: str) -> None:
    async with two_hosts(SharedStore()) as (here, there):
        met = asyncio.Barrier(2)
        here.p.then = meets(met)
        there.p.then = there.q.then = meets(met)
        answers_of_both = await asyncio.gather(
            here.announcer.register(model(a=1), CONTEXT),
            there.announcer.register(model(provider_id=rival, a=2), CONTEXT),
            return_exceptions=True,
        )
        await until(lambda: here.owners() == there.owners())
        stored = await here.records.find("m")

    assert stored is not None
    winner = answers_of_both[0] if stored.metadata == {"a": 1} else answers_of_both[1]
    loser = answers_of_both[1] if winner is answers_of_both[0] else answers_of_both[0]
    assert winner == stored
    if rival == "p":
        assert loser == stored
    else:
        assert isinstance(loser, ConflictError)
        assert f"provider {stored.provider_id}" in loser.message
    assert here.owners() == {"m": (stored.provider_id, "api")}


async def test_resource_of_a_provider_that_only_the_other_host_has_is_listed_as_unavailable() -> None:
    async with two_hosts(SharedStore()) as (here, there):
        here.announcer._provider_ids = frozenset({"p", "q", "only-here"})
        here.provider("only-here")
        await here.announcer.register(model(provider_id="only-here"), CONTEXT)
        await until(there.names)
        entry = there.registry.find("m")

    assert entry is not None
    assert entry.problem == "this host has no provider only-here of inference"


async def test_provider_that_fails_at_the_end_of_another_hosts_registration_is_told_again() -> None:
    store = SharedStore()
    async with two_hosts(store) as (here, there):
        await here.announcer.register(model(), CONTEXT)
        await until(there.names)
        there.p.then = raises(KeyError())
        await here.announcer.unregister("m", CONTEXT)
        await until(lambda: not there.names() and there.p.told[-1][0] == "unregister")
        there.p.then = None
        await until(lambda: "hitchpost:registry:ending:model:p:m" in store._values)
        await there.announcer.look_again("p")

    assert there.p.told[-2:] == [("unregister", "m", None), ("list", "", None)]


# --- the store goes away ---


async def test_host_starts_without_its_store_and_takes_in_what_is_stored_once_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persistence, "FIRST_DELAY_S", 0.01)
    store = SharedStore()
    async with House().running(store.open) as before:
        await before.announcer.register(model("stored"), CONTEXT)
    store.is_away = True
    after = House(config=[model("mine")])

    async with after.running(store.open):
        names, problem = after.names(), after.persistence.problem
        with pytest.raises(BackendUnavailableError, match="the store can't be reached"):
            await after.announcer.register(model("new"), CONTEXT)
        told = [what for what in after.p.told if what[1] == "new"]
        store.is_away = False
        await until(lambda: len(after.names()) == 2)
        await after.announcer.register(model("new"), CONTEXT)

    assert (names, problem) == (["mine"], "the store can't be reached")
    assert told == []
    assert after.names() == ["mine", "stored", "new"]
    assert ("register", "stored", None) in after.p.told


@pytest.mark.parametrize("operation", ["register", "unregister"])
async def test_nothing_changes_while_the_store_is_away(operation: str) -> None:
    store = SharedStore()
    async with House().running(store.open) as house:
        await house.announcer.register(model("m"), CONTEXT)
        told = len(house.p.told)
        store.is_away = True

        work: Callable[[], Any] = {
            "register": lambda: house.announcer.register(model("n"), CONTEXT),
            "unregister": lambda: house.announcer.unregister("m", CONTEXT),
        }[operation]
        with pytest.raises(BackendUnavailableError):
            await work()
        names = house.names()
        store.come_back()
        await work()

    assert names == ["m"]
    assert house.names() == (["m", "n"] if operation == "register" else [])
    assert len(house.p.told) == told + 1


async def test_registration_whose_answer_was_lost_is_whole_once_the_store_is_back() -> None:
    store = SharedStore()
    async with House().running(store.open) as house:
        store.lose_answers_of = ("put",)
        with pytest.raises(BackendUnavailableError):
            await house.announcer.register(model(), CONTEXT)
        names = house.names()
        store.come_back()
        await until(house.names)

    assert names == []
    assert [hook for hook, name, _ in house.p.told if name == "m"] == ["register", "unregister", "register"]


async def test_store_that_goes_away_is_noticed_though_nobody_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "HEALTH_INTERVAL_S", 0.01)
    store = SharedStore()
    async with House().running(store.open) as house:
        before = house.persistence.problem
        store.is_away = True
        await until(lambda: house.persistence.problem)
        noticed = house.persistence.problem
        store.is_away = False
        await until(lambda: house.persistence.problem is None)

    assert (before, noticed) == (None, "the store can't be reached")


async def test_scan_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(persistence, "FIRST_DELAY_S", 0.01)
    store = SharedStore()
    async with two_hosts(store) as (here, there):
        store.is_away = True
        for feed in store._feeds._open:
            feed.resync()
        await until(lambda: here.persistence.problem and there.persistence.problem)
        store.is_away = False
        await until(lambda: not here.persistence.problem and not there.persistence.problem)
        await here.announcer.register(model(), CONTEXT)
        await until(there.names)

    assert "unexpected" not in caplog.text


async def test_provider_that_hangs_does_not_keep_other_hosts_registrations_from_being_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hitchpost.registry.provider_calls.HOOK_TIMEOUT_S", 0.05)
    async with two_hosts(SharedStore()) as (here, there):
        there.p.then = hangs
        for number in range(100):
            await here.announcer.register(model(f"m{number}"), CONTEXT)
        await here.announcer.register(model("other", "q"), CONTEXT)

        await until(lambda: len(there.names()) == 101)
        other = there.registry.find("other")

    assert other is not None
    assert other.problem is None
