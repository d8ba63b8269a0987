"""What a host knows after a restart, what hosts on one store know of each other, and what happens while the store is away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError, BadRequestError, ConfigError, ConflictError, NotFoundError
from hitchpost.registry import Origin, persistence
from hitchpost.registry import registry as registry_module
from hitchpost.store import KeyValueStore
from hitchpost.store.memory import MemoryStore
from tests.plugged import CONTEXT, until
from tests.registry.house import House, Open, answers, file_at, hangs, model, raises


@pytest.fixture
def file(tmp_path: Path) -> Open:
    return file_at(tmp_path / "registry.db")


class SharedStore(MemoryStore):
    """A store of two hosts, which outlives each of them and can be cut off from both."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.lose_answers_of: tuple[str, ...] = ()
        """Operations that are done, but whose answer doesn't come back."""

    async def open(self) -> KeyValueStore:
        self._check_open()
        return self

    async def close(self) -> None:
        """The other host goes on."""

    async def put_if_absent(self, key: str, value: str) -> bool:
        kept = await super().put_if_absent(key, value)
        if "put" in self.lose_answers_of:
            self.is_away = True
            raise BackendUnavailableError("the store did not answer")
        return kept

    def come_back(self) -> None:
        self.is_away, self.lose_answers_of = False, ()
        for feed in self._feeds._open:
            feed.resync()

    def _check_open(self) -> None:
        if self.is_away:
            raise BackendUnavailableError("the store can't be reached")


@asynccontextmanager
async def two_hosts(store: SharedStore) -> AsyncIterator[tuple[House, House]]:
    async with House().running(store.open) as here, House().running(store.open) as there:
        yield here, there


def meets(other: asyncio.Barrier) -> Callable[[Any], Any]:
    """Waits for the other host the first time that it is told something."""
    waits = [other.wait]

    async def then(told: Any) -> None:
        if told is not None and waits:
            await waits.pop()()

    return then


# --- restart ---


async def test_registrations_are_there_after_a_restart_and_are_announced_again(file: Open) -> None:
    async with House().running(file) as before:
        before.p.then = answers(lambda model: model.copy_with(metadata={"completed": True}) if model else [])
        registered = await before.announcer.register(model("m", name="inner"), CONTEXT)

    async with House().running(file) as after:
        entry = after.registry.find("m")
        told = after.p.told

    assert entry is not None
    assert (entry.resource, entry.origin, entry.problem) == (registered, Origin.api, None)
    assert ("register", "m", None) in told


async def test_unregistered_resource_stays_away(file: Open) -> None:
    async with House().running(file) as before:
        await before.announcer.register(model(), CONTEXT)
        await before.announcer.unregister("m", CONTEXT)

    async with House().running(file) as after:
        assert after.names() == []
        assert after.p.told == [("list", "", None)]


async def test_provider_that_refuses_keeps_nothing_stored(file: Open) -> None:
    async with House().running(file) as before:
        before.p.then = raises(BadRequestError("not served"))
        with pytest.raises(BadRequestError, match="not served"):
            await before.announcer.register(model(), CONTEXT)

    async with House().running(file) as after:
        assert after.names() == []


async def test_stored_resource_that_its_provider_refuses_now_is_listed_with_the_reason_until_it_accepts(
    file: Open,
) -> None:
    async with House().running(file) as before:
        await before.announcer.register(model(), CONTEXT)
    after = House()
    after.p.then = raises(BadRequestError("not loaded"))

    async with after.running(file):
        entry = after.registry.find("m")
        refused = entry and entry.problem
        after.p.then = None
        await after.announcer.look_again("p")
        entry = after.registry.find("m")

    assert refused == "not loaded"
    assert entry is not None
    assert entry.problem is None


async def test_repeated_registration_after_a_restart_answers_the_first_values(file: Open) -> None:
    async with House().running(file) as before:
        first = await before.announcer.register(model(a=1), CONTEXT)

    async with House().running(file) as after:
        assert await after.announcer.register(model(a=2), CONTEXT) == first


async def test_stored_resource_of_a_provider_that_is_not_configured_is_listed_and_can_be_unregistered(
    file: Open,
) -> None:
    async with House().running(file) as before:
        before.announcer._provider_ids = frozenset({"gone"})
        await before.announcer.register(model("m", "gone"), CONTEXT)

    async with House().running(file) as after:
        entry = after.registry.find("m")
        await after.announcer.unregister("m", CONTEXT)
        names = after.names()

    assert entry is not None
    assert entry.problem == "this host has no provider gone of inference"
    assert names == []


# --- endings that a provider could not be told ---


async def test_provider_that_failed_at_the_end_of_a_registration_is_told_again_until_it_knows(file: Open) -> None:
    async with House().running(file) as before:
        await before.announcer.register(model(), CONTEXT)
        before.p.then = raises(KeyError())
        await before.announcer.unregister("m", CONTEXT)
        names = before.names()
    again = House()
    again.p.then = raises(BackendUnavailableError("down"))

    async with again.running(file):
        told_in_vain = [what for what in again.p.told if what[0] == "unregister"]
        again.p.then = None
        await again.announcer.look_again("p")
        told = [what for what in again.p.told if what[0] == "unregister"]
        await again.announcer.look_again("p")
        at_last = [what for what in again.p.told if what[0] == "unregister"]

    assert names == again.names() == []
    assert (len(told_in_vain), len(told), len(at_last)) == (1, 2, 2)
    assert told[-1] == ("unregister", "m", None)


async def test_provider_that_does_not_run_is_told_of_an_end_when_it_starts(file: Open) -> None:
    async with House().running(file) as house:
        await house.announcer.register(model(), CONTEXT)
        house.hooks.unregister_provider(house.registry.kind.served_by, "p")
        await house.announcer.unregister("m", CONTEXT)

        p = house.provider("p")
        await house.announcer.announce_all("p")

    assert p.told == [("unregister", "m", None), ("list", "", None)]


async def test_end_that_a_provider_missed_is_forgotten_once_it_has_the_resource_again(file: Open) -> None:
    async with House().running(file) as house:
        await house.announcer.register(model(a=1), CONTEXT)
        house.p.then = raises(KeyError())
        await house.announcer.unregister("m", CONTEXT)
        house.p.then = None
        await house.announcer.register(model(a=2), CONTEXT)
        told = len(house.p.told)

        await house.announcer.look_again("p")

    assert house.p.told[told:] == [("list", "", None)]


async def test_unregistering_what_shadows_a_preset_of_the_same_provider_announces_the_preset_again(file: Open) -> None:
    async with House(presets=[model(a=1)]).running(file) as house:
        await house.announcer.register(model(a=2), CONTEXT)
        told = len(house.p.told)

        await house.announcer.unregister("m", CONTEXT)

    assert house.p.told[told:] == [("register", "m", None)]
    assert house.owners() == {"m": ("p", "preset")}


# --- the run config over time ---


async def test_edits_of_the_run_config_apply_at_the_next_start(file: Open) -> None:
    async with House(config=[model(a=1)]).running(file):
        pass

    async with House(config=[model(a=2)]).running(file) as after:
        entry = after.registry.find("m")

    assert entry is not None
    assert entry.resource == model(a=2)
    assert [what for what in after.p.told if what[0] != "list"] == [("register", "m", None)]


async def test_what_was_removed_from_the_run_config_is_gone_and_its_provider_told_once(file: Open) -> None:
    async with House(config=[model("m"), model("n")]).running(file):
        pass

    async with House(config=[model("n")]).running(file) as after:
        pass
    async with House(config=[model("n")]).running(file) as later:
        pass

    assert after.names() == ["n"]
    assert after.p.told == [("unregister", "m", None), ("register", "n", None), ("list", "", None)]
    assert later.p.told == [("register", "n", None), ("list", "", None)]


async def test_what_the_run_config_gives_to_another_provider_ends_at_the_first(file: Open) -> None:
    async with House(config=[model("m", "p")]).running(file):
        pass

    async with House(config=[model("m", "q")]).running(file) as after:
        pass

    assert after.p.told == [("unregister", "m", None), ("list", "", None)]
    assert after.q.told == [("register", "m", None), ("list", "", None)]


async def test_registration_that_the_run_config_shadows_comes_back_when_it_is_removed_there(
    file: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async with House().running(file) as before:
        await before.announcer.register(model("m", "p"), CONTEXT)

    with caplog.at_level(logging.WARNING):
        async with House(config=[model("m", "q")]).running(file) as shadowed:
            owners = shadowed.owners()
            note = shadowed.registry.describe_shadowing("m")
            with pytest.raises(ConflictError, match="comes from origin config"):
                await shadowed.announcer.unregister("m", CONTEXT)
    async with House().running(file) as after:
        pass

    assert owners == {"m": ("q", "config")}
    assert note == "model 'm' of provider q (config) shadows that of provider p (api)"
    assert note in caplog.text
    assert after.owners() == {"m": ("p", "api")}
    assert ("unregister", "m", None) in after.q.told


async def test_removal_from_the_run_config_is_not_told_where_a_client_registered_the_same(file: Open) -> None:
    async with House().running(file) as first:
        await first.announcer.register(model(), CONTEXT)
    async with House(config=[model()]).running(file):
        pass

    async with House().running(file) as after:
        pass

    assert after.p.told == [("register", "m", None), ("list", "", None)]


# --- limits ---


async def test_registrations_are_bounded(file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_REGISTERED", 2)
    async with House(config=[model("c")], presets=[model("d")]).running(file) as house:
        await house.announcer.register(model("a"), CONTEXT)
        await house.announcer.register(model("b"), CONTEXT)

        with pytest.raises(BadRequestError, match="2 models are registered, which is the most"):
            await house.announcer.register(model("e"), CONTEXT)
        await house.announcer.unregister("a", CONTEXT)
        await house.announcer.register(model("e"), CONTEXT)

    assert set(house.names()) == {"b", "c", "d", "e"}


async def test_provider_that_hangs_is_not_asked_about_everything(file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with House().running(file) as before:
        for number in range(60):
            await before.announcer.register(model(f"m{number}"), CONTEXT)
    after = House()
    monkeypatch.setattr("hitchpost.registry.provider_calls.HOOK_TIMEOUT_S", 0.01)
    waits: list[Any] = []

    async def hang(told: Any) -> Any:
        waits.append(told)
        await asyncio.Event().wait()

    after.p.then = hang
    async with after.running(file):
        problems = [entry.problem for entry in after.registry.entries()]
        after.p.then = None
        await after.announcer.look_again("p")

    assert len(problems) == 60
    assert all(problems)
    assert len(waits) < 40
    assert not any(entry.problem for entry in after.registry.entries())


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


async def test_store_that_can_not_be_used_as_it_is_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    file.write_bytes(b"this is no database, whatever its name says" * 100)
    before = file.read_bytes()

    with pytest.raises(ConfigError, match="it is no SQLite database"):
        await House().start(file_at(file))

    assert file.read_bytes() == before


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
