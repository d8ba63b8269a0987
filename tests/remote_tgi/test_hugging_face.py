"""Hugging Face's serverless inference and Inference Endpoints."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import RequestContext
from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError, UnauthenticatedError
from hitchpost.plugin import collect_chat
from hitchpost_remote_tgi.config import EndpointConfig, ServerlessConfig
from hitchpost_remote_tgi.endpoint import read_status
from hitchpost_remote_tgi.provider import TgiInference, endpoint, serverless
from tests.fakes.tgi.endpoints_api import FakeEndpointsApi
from tests.fakes.tgi.server import FakeTgi
from tests.plugged import until
from tests.remote_tgi.conftest import LLAMA, PLAIN, chat, completion, deps

StartedEndpoint = Callable[..., Awaitable[TgiInference]]


@pytest.fixture
async def mounted_tgi() -> AsyncIterator[FakeTgi]:
    """As endpoints run it: its model is a folder."""
    async with FakeTgi("/repository") as fake:
        yield fake


@pytest.fixture
async def service(mounted_tgi: FakeTgi) -> AsyncIterator[FakeEndpointsApi]:
    """Knows one endpoint, which runs."""
    async with FakeEndpointsApi(mounted_tgi) as fake:
        yield fake


@pytest.fixture
async def started_endpoint(service: FakeEndpointsApi, tmp_path: Path) -> AsyncIterator[StartedEndpoint]:
    """Starts a provider in front of the endpoint; stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(changed: Callable[[], None] = lambda: None, **config: Any) -> TgiInference:
            given = {"url": service.url, "endpoint_name": "acme/llama", "api_token": service.token}
            quick = {"wake_poll_s": 0.02, "max_retries": 0}
            provider = endpoint(EndpointConfig(**{**given, **quick, **config}), deps(tmp_path, health_changed=changed))
            stack.push_async_callback(provider.stop)
            await provider.start()
            return provider

        yield start


async def said(provider: TgiInference, context: RequestContext = PLAIN) -> str:
    """The answer to a greeting."""
    answer = await collect_chat(provider.stream_chat_completion(chat(), context), 1)
    return answer.choices[0].text


# --- serverless ---


async def test_serverless_model_is_asked_at_its_root(tmp_path: Path) -> None:
    async with FakeTgi(prefix=f"/models/{LLAMA}") as fake:
        provider = serverless(ServerlessConfig(url=fake.url, huggingface_repo=LLAMA), deps(tmp_path))
        await provider.start()
        try:
            streamed_text = await said(provider)
            whole = await provider.completion(completion("Once"), PLAIN)
        finally:
            await provider.stop()

        assert streamed_text == "You said: hello"
        assert whole.choices[0].text == "You said: Once"
        assert [path for path, _ in fake.requests] == [f"/models/{LLAMA}"] * 2


async def test_serverless_model_that_says_nothing_of_itself_is_served(tmp_path: Path) -> None:
    async with FakeTgi(prefix="/models/acme/seer") as fake:
        provider = serverless(
            ServerlessConfig(url=f"{fake.url}/models/acme/seer/none", huggingface_repo="x"), deps(tmp_path)
        )
        await provider.start()
        try:
            [model] = await provider.list_models()
        finally:
            await provider.stop()

        assert model.provider_resource_id == "x"


# --- endpoints ---


async def test_endpoint_that_runs_serves_its_repository(started_endpoint: StartedEndpoint) -> None:
    provider = await started_endpoint()

    [model] = await provider.list_models()

    assert model.provider_resource_id == LLAMA
    assert await said(provider) == "You said: hello"


async def test_endpoint_that_sleeps_is_woken_and_requests_wait_for_it(
    service: FakeEndpointsApi, started_endpoint: StartedEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service.go_to(["scaledToZero", "pending", "initializing", "initializing", "running"])
    changes: list[int] = []
    provider = await started_endpoint(lambda: changes.append(1))

    with pytest.raises(BackendUnavailableError, match=r"endpoint acme/llama is \w+, for \d+ s"):
        await provider.health()
    [model] = await provider.list_models()
    answers = await asyncio.gather(*(said(provider) for _ in range(3)))

    assert model.provider_resource_id == LLAMA
    assert answers == ["You said: hello"] * 3
    await provider.health()
    assert changes
    assert "is initializing" in caplog.text
    assert "is there after" in caplog.text


async def test_endpoint_that_went_to_sleep_is_woken_by_the_next_request(
    service: FakeEndpointsApi, started_endpoint: StartedEndpoint
) -> None:
    provider = await started_endpoint()
    await said(provider)
    service.go_to(["scaledToZero", "scaledToZero", "initializing", "running"])

    answers = await asyncio.gather(*(said(provider) for _ in range(4)))

    assert answers == ["You said: hello"] * 4


async def test_sleeping_endpoint_is_well_and_not_asked_by_health(
    service: FakeEndpointsApi, mounted_tgi: FakeTgi, started_endpoint: StartedEndpoint
) -> None:
    provider = await started_endpoint()
    await said(provider)
    service.go_to(["scaledToZero"])
    asked = len(mounted_tgi.headers)

    await provider.health()
    await provider.list_models()

    assert len(mounted_tgi.headers) == asked


async def test_request_does_not_wait_longer_than_its_deadline(
    service: FakeEndpointsApi, started_endpoint: StartedEndpoint
) -> None:
    service.go_to(["initializing"])
    provider = await started_endpoint()

    with pytest.raises(BackendUnavailableError, match="is initializing"):
        await said(provider, RequestContext(request_id="r", deadline=time.monotonic() + 0.1))


async def test_endpoint_that_does_not_get_up_in_time_says_so(
    service: FakeEndpointsApi, started_endpoint: StartedEndpoint
) -> None:
    service.go_to(["initializing"])
    provider = await started_endpoint(wake_timeout_s=0.2)

    with pytest.raises(BackendUnavailableError, match=r"did not get up within 0\.2 s: it is initializing"):
        await said(provider)


@pytest.mark.parametrize(("state", "advice"), [("paused", "resume it"), ("failed", "is failed")])
async def test_endpoint_that_can_not_get_up_by_itself_is_not_touched(
    state: str, advice: str, service: FakeEndpointsApi, mounted_tgi: FakeTgi, started_endpoint: StartedEndpoint
) -> None:
    service.go_to([state])

    with pytest.raises(BackendUnavailableError, match=advice):
        await started_endpoint()

    assert mounted_tgi.headers == []


async def test_endpoint_that_fails_while_it_gets_up_ends_those_who_wait(
    service: FakeEndpointsApi, started_endpoint: StartedEndpoint
) -> None:
    service.go_to(["initializing", "initializing", "failed"])
    provider = await started_endpoint()

    with pytest.raises(BackendUnavailableError, match="is failed"):
        await said(provider)


async def test_stopped_provider_leaves_nobody_waiting(
    service: FakeEndpointsApi, started_endpoint: StartedEndpoint
) -> None:
    service.go_to(["initializing"])
    provider = await started_endpoint()
    waiting = asyncio.create_task(said(provider))
    await until(lambda: service.looks > 2)

    await provider.stop()

    async with asyncio.timeout(5):
        with pytest.raises(HitchpostError):
            await waiting


async def test_wrong_token_is_refused_by_the_service_without_being_named(started_endpoint: StartedEndpoint) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        await started_endpoint(api_token="hf_other_secret")

    assert "hf_other" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"status": "running"}, {"status": {"state": 1}}, {"status": {"state": "running", "url": "ftp://x"}}],
)
def test_answer_of_the_service_that_says_no_state_is_a_bad_one(answer: Any) -> None:
    with pytest.raises(BadBackendAnswerError):
        read_status(answer)
