"""Banks of the embedded memory provider."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import AnyMemoryBank
from hitchpost_meta_reference.memory.bank import Bank
from hitchpost_meta_reference.memory.provider import EmbeddedMemory
from tests.meta_reference_memory.banks import SAMPLE, fill, open_bank
from tests.meta_reference_memory.providers import CONTEXT, OpenBank, WordModels, made

Start = Callable[..., Awaitable[EmbeddedMemory]]
OpenAny = Callable[..., Awaitable[OpenBank]]


@pytest.fixture
def empty_bank(tmp_path: Path) -> Iterator[Bank]:
    """A vector bank without documents."""
    bank = open_bank(tmp_path)
    yield bank
    bank.file.close()


@pytest.fixture
def sample_bank(empty_bank: Bank) -> Bank:
    """A vector bank with the documents of `SAMPLE`, a chunk each."""
    fill(empty_bank, SAMPLE)
    return empty_bank


@pytest.fixture
def models() -> WordModels:
    """The embedding model `words`."""
    return WordModels()


@pytest.fixture
async def start(tmp_path: Path, models: WordModels) -> AsyncIterator[Start]:
    """Starts a provider with the models and the folder of the test: `await start(max_open_banks=1)`; each is stopped at the end."""
    providers: list[EmbeddedMemory] = []

    async def started(**config: Any) -> EmbeddedMemory:
        provider = made(tmp_path, models, **config)
        providers.append(provider)
        await provider.start()
        return provider

    yield started
    for provider in providers:
        await provider.stop()


@pytest.fixture
async def opened(start: Start) -> OpenAny:
    """Registers a bank, by default at a new provider: `await opened(vector())`."""

    async def register(resource: AnyMemoryBank, provider: EmbeddedMemory | None = None, **config: Any) -> OpenBank:
        provider = provider or await start(**config)
        await provider.register_memory_bank(resource, CONTEXT)
        return OpenBank(provider, resource)

    return register
