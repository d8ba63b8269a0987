"""Hosts that the tests of this folder share."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.host.served import EVERY_API, ServedHost, odd_config, scripted_config, served

SCRIPT: list[dict[str, Any]] = [
    {"when": "weather", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]},
    {"when": "refuse", "refusal": "I would rather not."},
    {"when": "think", "reasoning": "Hm.", "text": "Yes."},
    {"when": "fail at once", "text": "never", "fault": {"kind": "error", "code": "overloaded", "retry_after_s": 2}},
    {
        "when": "fail later",
        "text": "one two three",
        "fault": {"kind": "error", "code": "bad_request", "after_events": 2},
    },
    {"when": "early defect", "text": "never", "fault": {"kind": "defect", "message": "secret"}},
    {"when": "defect", "text": "one two three", "fault": {"kind": "defect", "message": "secret", "after_events": 1}},
    {"when": "cut", "text": "one two three", "fault": {"kind": "cut", "after_events": 2}},
    {"when": "stall at once", "text": "never", "fault": {"kind": "stall"}},
    {"when": "stall later", "text": "one two three", "fault": {"kind": "stall", "after_events": 2}},
    {"echo": True},
]


@pytest.fixture
async def host() -> AsyncIterator[ServedHost]:
    """A host over the scripted provider, whose model is `m`."""
    async with served(scripted_config(SCRIPT)) as running:
        yield running


@pytest.fixture
async def every_api() -> AsyncIterator[ServedHost]:
    """A host with a provider of every API."""
    async with served(EVERY_API) as running:
        yield running


@dataclass(frozen=True)
class OddHost:
    """A host, and the provider behind it that a test tells which events to play."""

    host: ServedHost
    provider: Any


@pytest.fixture
async def odd() -> AsyncIterator[OddHost]:
    """A host over the provider of `odd_provider.py`, whose model is `m`."""
    async with served(odd_config()) as running:
        yield OddHost(running, running.stack.providers[0].provider)
