"""Where a stack keeps its registrations, and what it shows of them."""

from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import RegisterModelRequest
from hitchpost.errors import BackendUnavailableError, ConfigError
from hitchpost.stack import Stack
from tests.plugged import CONTEXT, Plugged, inference, one


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HITCHPOST_HOME", str(tmp_path))
    return tmp_path


async def start_and_stop(stack: Stack) -> None:
    try:
        await stack.start()
    finally:
        await stack.stop()


@pytest.mark.parametrize(
    ("image_name", "folder"),
    [
        ("test", "test"),
        ("my stack", "my stack"),
        ("../../elsewhere", "%2E.%2F..%2Felsewhere"),
        ("..", "%2E."),
        ("/etc", "%2Fetc"),
        ("é", "%C3%A9"),
        ("x" * 1000, "x" * 128),
    ],
)
async def test_registrations_are_kept_in_a_file_of_the_hosts_own(
    image_name: str, folder: str, home: Path, plugged: Plugged
) -> None:
    await start_and_stop(plugged.build({"image_name": image_name}))

    assert [path.relative_to(home).as_posix() for path in home.rglob("*.db")] == [f"distributions/{folder}/registry.db"]


async def test_host_without_a_run_config_keeps_them_under_default(home: Path, plugged: Plugged) -> None:
    await start_and_stop(plugged.build(None))

    assert (home / "distributions" / "default" / "registry.db").is_file()


async def test_store_that_the_config_names_is_used(home: Path, plugged: Plugged) -> None:
    await start_and_stop(plugged.build({"metadata_store": {"type": "sqlite", "db_path": str(home / "mine.db")}}))

    assert [path.name for path in home.rglob("*.db")] == ["mine.db"]


async def test_damaged_store_ends_the_start(home: Path, plugged: Plugged) -> None:
    file = home / "registry.db"
    file.write_bytes(b"no database" * 1000)

    with pytest.raises(ConfigError, match="it is no SQLite database"):
        await start_and_stop(plugged.build({"metadata_store": {"type": "sqlite", "db_path": str(file)}}))


async def test_stopped_stack_registers_nothing_more(plugged: Plugged) -> None:
    plugged.add()
    async with plugged.running(one()) as stack:
        announcer = stack._announcers[next(iter(stack._announcers))]
    resource = RegisterModelRequest(model_id="m").resource("p")

    with pytest.raises(BackendUnavailableError, match="the store of registrations is closed"):
        await announcer.register(resource, CONTEXT)


async def test_each_provider_shows_what_it_serves_from_where_and_what_shadows_what(plugged: Plugged) -> None:
    plugged.add()
    config: dict[str, Any] = inference(
        *({"provider_id": name, "provider_type": "inline::test"} for name in "pq"), image_name="same"
    )
    async with plugged.running(config) as stack:
        await stack.models.register_model(RegisterModelRequest(model_id="m", provider_id="p"), CONTEXT)

    async with plugged.running({**config, "models": [{"model_id": "m", "provider_id": "q"}]}) as stack:
        shown = [
            (status.provider_id, served.identifier, served.origin, served.shadowing)
            for status in stack.inspect.provider_statuses()
            for served in status.serves
        ]
        assert stack.registrations_problem is None

    note = "model 'm' of provider q (config) shadows that of provider p (api)"
    assert shown == [("p", "m", "api", note), ("q", "m", "config", note)]
