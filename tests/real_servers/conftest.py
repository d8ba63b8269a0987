"""Clients of the host `front`, which each file puts in front of a server of its own."""

from collections.abc import Iterator

import openai
import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess


@pytest.fixture
def sdk(front: HostProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def native(front: HostProcess) -> Iterator[LlamaStackClient]:
    with LlamaStackClient(base_url=front.url, max_retries=0, timeout=60) as client:
        yield client
