"""The conformance kit, with the fake as backend."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from hitchpost.conformance import InferenceConformance
from tests.fakes.bedrock.server import FakeBedrock


@pytest.fixture(autouse=True)
def _keys_of_the_environment(_no_aws_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the config, where they would come before those of callers."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHOST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret of the host")


class BedrockKit(InferenceConformance):
    """What both models have in common."""

    __test__ = False
    provider_type = "remote::bedrock"
    embedding_metadata: ClassVar[Mapping[str, Any]] = {"embedding_dimension": 1024}
    provider_data: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        mark: {"aws_access_key_id": mark, "aws_secret_access_key": "not so secret", "aws_session_token": f"of-{mark}"}
        for mark in ("ASIAANN", "ASIABEA")
    }
    patience_s = 15.0

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[Mapping[str, Any]]:
        async with FakeBedrock() as self.fake:
            type(self).backend_faults = self.fake
            yield {"endpoint_url": self.fake.url, "region_name": "us-east-1"}

    async def is_busy(self) -> bool:
        return self.fake.running > 0


class TestClaude(BedrockKit):
    """A model that takes `top_k`, and completes no texts."""

    __test__ = True
    model = "us.anthropic.claude-sonnet-4-v1:0"
    model_metadata: ClassVar[Mapping[str, Any]] = {
        "capabilities": [
            "chat",
            "embeddings",
            "json_schema",
            "parallel_tool_calls",
            "stop",
            "tool_choice",
            "tools",
            "vision",
        ]
    }
    embedding_model = "cohere.embed-english-v3"


class TestLlama(BedrockKit):
    __test__ = True
    model = "us.meta.llama3-2-11b-instruct-v1:0"
    embedding_model = "amazon.titan-embed-text-v2:0"
    xfail_checks: ClassVar[Mapping[str, str]] = {"sampling.accepted": "Llama models of Bedrock have no top_k"}
