from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.config import ProviderEntry, ProviderLimits, RunConfig, ServerConfig


def test_defaults_are_those_that_are_documented() -> None:
    limits, server = ProviderLimits(), ServerConfig()

    assert (limits.max_concurrent, limits.max_queued, limits.queue_timeout_s, limits.timeout_s) == (256, 1024, 30, 600)
    assert (server.host, server.port, server.max_body_bytes, server.shutdown_timeout_s) == (
        "127.0.0.1",
        8321,
        16 * 1024**2,
        30,
    )


@pytest.mark.parametrize("provider_id", ["a", "tgi-8b", "A.b_c:d", "0", "x" * 128, "inline::meta-reference"])
def test_sound_provider_ids_are_taken(provider_id: str) -> None:
    assert ProviderEntry(provider_id=provider_id, provider_type="t").provider_id == provider_id


@pytest.mark.parametrize("provider_id", ["", "a/b", "../a", ".a", "a b", "a\n", "x" * 129, "ä", 7, None])
def test_provider_ids_that_could_be_read_otherwise_are_refused(provider_id: Any) -> None:
    with pytest.raises(ValidationError):
        ProviderEntry(provider_id=provider_id, provider_type="t")


@pytest.mark.parametrize(
    "limits",
    [
        {"max_concurrent": 0},
        {"max_queued": -1},
        {"queue_timeout_s": 0},
        {"timeout_s": -1},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
        {"queue_timeout_s": 7 * 24 * 3600 + 1},
        {"max_concurrent": 1.5},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProviderLimits(**limits)


@pytest.mark.parametrize(
    "server",
    [
        {"port": -1},
        {"port": 65536},
        {"max_body_bytes": 10},
        {"shutdown_timeout_s": -1},
        {"shutdown_timeout_s": float("inf")},
        {"shutdown_timeout_s": 1e12},
    ],
)
def test_server_settings_that_make_no_sense_are_refused(server: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerConfig(**server)


def test_mistyped_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="prot"):
        RunConfig.model_validate({"server": {"prot": 1}})
