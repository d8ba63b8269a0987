"""The fake, and providers in front of it, in an environment without any AWS settings."""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import Model, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost_bedrock.aws.credentials import AwsProviderData
from hitchpost_bedrock.inference.config import BedrockInferenceConfig
from hitchpost_bedrock.inference.provider import BedrockInference
from tests.fakes.bedrock.server import FakeBedrock

KEYS = {"aws_access_key_id": "AKIAHOST", "aws_secret_access_key": "the host's own secret"}
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
MakeProvider = Callable[..., Awaitable[BedrockInference]]


@pytest.fixture(autouse=True)
def _no_aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
async def fake() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock() as server:
        yield server


@pytest.fixture
async def make_provider(fake: FakeBedrock, tmp_path: Path) -> AsyncIterator[MakeProvider]:
    """Starts providers with the fake's address and keys unless told otherwise; they are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def make(**config: Any) -> BedrockInference:
            settings = {"endpoint_url": fake.url, "region_name": "us-east-1", "total_max_attempts": 1, **KEYS, **config}
            deps = ProviderDeps(provider_id="bedrock", state_dir=tmp_path, log=logging.getLogger("bedrock"))
            provider = BedrockInference(BedrockInferenceConfig.model_validate(settings), deps)
            stack.push_async_callback(provider.stop)
            await provider.start()
            return provider

        yield make


@pytest.fixture
async def provider(make_provider: MakeProvider) -> BedrockInference:
    return await make_provider()


@pytest.fixture
async def open_provider(make_provider: MakeProvider) -> BedrockInference:
    """Its config has no keys: callers bring theirs."""
    return await make_provider(aws_access_key_id=None, aws_secret_access_key=None)


def asking(model: str = LLAMA, *, data: dict[str, str] | None = None, **metadata: Any) -> RequestContext:
    """The context of a request for a registered model."""
    return RequestContext(
        request_id="req_test",
        resource=Model(identifier="m", provider_resource_id=model, metadata=metadata),
        provider_data=None if data is None else AwsProviderData.model_validate(data),
    )


def keys_of(name: str) -> dict[str, str]:
    """Provider data of a caller with this access key."""
    return {"aws_access_key_id": name, "aws_secret_access_key": f"secret of {name}"}
