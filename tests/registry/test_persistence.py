"""What a host knows after a restart, and what it keeps."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError, BadRequestError, ConfigError, ConflictError
from hitchpost.registry import Origin
from hitchpost.registry import registry as registry_module
from tests.plugged import CONTEXT
from tests.registry.house import House, Open, answers, file_at, model, raises


@pytest.fixture
def file(tmp_path: Path) -> Open:
    return file_at(tmp_path / "registry.db")


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


async def test_store_that_can_not_be_used_as_it_is_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    file.write_bytes(b"this is no database, whatever its name says" * 100)
    before = file.read_bytes()

    with pytest.raises(ConfigError, match="it is no SQLite database"):
        await House().start(file_at(file))

    assert file.read_bytes() == before
