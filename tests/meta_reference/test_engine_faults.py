"""The engine process is killed, stopped, or can't start: requests end with an error, the next ones work, and nothing is left behind."""

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hitchpost.api import CompletionRequest, RequestContext, SamplingParams, TextDelta
from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.engine.client import EngineClient, EngineLimits
from hitchpost_meta_reference.engine.protocol import Submit, TextPrompt
from hitchpost_meta_reference.engine.settings import EngineSettings
from hitchpost_meta_reference.inference.provider import MetaReferenceInference
from tests.meta_reference.conftest import MakeProvider
from tests.meta_reference.parrot import until
from tests.processes import children_of, is_alive, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTEXT_OF_REQUEST = RequestContext(request_id="test")


@pytest.fixture(autouse=True, scope="module")
def socket_folder() -> Iterator[Path]:
    """Where the engines of this module put their sockets; empty again at its end."""
    # Not tmp_path: the path of a socket may have some hundred characters only.
    with tempfile.TemporaryDirectory(prefix="hp-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("TMPDIR", folder)
        yield Path(folder)
        wait_until(lambda: not list(Path(folder).glob("hitchpost-engine-*")), "no socket is left")


@pytest.fixture(autouse=True)
def no_zombies() -> Iterator[None]:
    """Every child that has ended is collected."""
    yield
    assert not [pid for pid in children_of(os.getpid()) if not is_alive(pid)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fragile(make_provider: MakeProvider) -> AsyncIterator[MetaReferenceInference]:
    """A provider that notices within two seconds when its engine is silent; shared, since it always comes back."""
    provider = make_provider(heartbeat_timeout_s=2.0, step_timeout_s=30.0)
    await provider.start()
    yield provider
    await provider.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def own_provider(make_provider: MakeProvider) -> AsyncIterator[MetaReferenceInference]:
    """A started provider of the test's own."""
    provider = make_provider()
    await provider.start()
    yield provider
    await provider.stop()


def endless() -> CompletionRequest:
    params = SamplingParams(max_tokens=0, temperature=0.0, logit_bias=dict.fromkeys(range(256, 263), -100.0))
    return CompletionRequest(model_id="tiny", content="hello", sampling_params=params)


async def short_answer(provider: MetaReferenceInference) -> str:
    params = SamplingParams(max_tokens=4, temperature=0.0, logit_bias=dict.fromkeys(range(256, 263), -100.0))
    request = CompletionRequest(model_id="tiny", content="hello", sampling_params=params)
    return (await provider.completion(request, CONTEXT_OF_REQUEST)).choices[0].text


def engine_of(provider: MetaReferenceInference) -> EngineClient:
    return provider._engine


async def stream_until_signal(provider: MetaReferenceInference, number: signal.Signals) -> int:
    """Streams, sends the engine a signal at the first text, and goes on until the stream fails; returns the engine's pid."""
    pid = engine_of(provider).pid
    assert pid is not None
    is_sent = False
    async for event in provider.stream_completion(endless(), CONTEXT_OF_REQUEST):
        if isinstance(event, TextDelta) and not is_sent:
            os.kill(pid, number)
            is_sent = True
    raise AssertionError("the stream ended as if nothing had happened")


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "ended unexpectedly"), (signal.SIGSTOP, "did not answer for 2 s")],
    ids=["killed", "stopped"],
)
async def test_stream_fails_when_its_engine_does_and_the_next_request_works(
    fragile: MetaReferenceInference, number: signal.Signals, reason: str
) -> None:
    pid = engine_of(fragile).pid
    assert pid is not None
    expected = await short_answer(fragile)
    restarts = engine_of(fragile).restarts

    with pytest.raises(BackendUnavailableError, match=f"the engine process {reason}; the answer is lost") as failed:
        await stream_until_signal(fragile, number)

    assert failed.value.provider_id == "engine"
    assert await short_answer(fragile) == expected
    assert engine_of(fragile).pid != pid
    assert not is_alive(pid)
    assert engine_of(fragile).restarts == restarts + 1


async def test_all_waiting_requests_fail_together_and_counters_go_on(fragile: MetaReferenceInference) -> None:
    asking = [asyncio.create_task(fragile.completion(endless(), CONTEXT_OF_REQUEST)) for _ in range(20)]
    await until(lambda: engine_of(fragile).stats.waiting == 4, "some run and some wait")
    generated = engine_of(fragile).stats.generated_tokens
    pid = engine_of(fragile).pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {BackendUnavailableError}
    await short_answer(fragile)
    stats = engine_of(fragile).stats
    assert stats.generated_tokens > generated
    assert (stats.running, stats.waiting) == (0, 0)


async def test_health_tells_that_the_engine_restarts(fragile: MetaReferenceInference) -> None:
    await fragile.health()
    pid = engine_of(fragile).pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    await until(lambda: engine_of(fragile).pid != pid, "noticed")

    with pytest.raises(BackendUnavailableError, match="the engine is restarting"):
        await fragile.health()
    await short_answer(fragile)
    await fragile.health()


async def test_provider_can_be_stopped_while_its_engine_restarts(own_provider: MetaReferenceInference) -> None:
    first = engine_of(own_provider).pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: engine_of(own_provider).pid not in {first, None}, "the next one loads")
    second = engine_of(own_provider).pid
    assert second is not None

    await own_provider.stop()

    assert not is_alive(second)
    with pytest.raises(BackendUnavailableError, match="the engine is stopped"):
        await short_answer(own_provider)


async def test_request_during_stop_ends_with_an_error(own_provider: MetaReferenceInference) -> None:
    asking = asyncio.create_task(own_provider.completion(endless(), CONTEXT_OF_REQUEST))
    await until(lambda: engine_of(own_provider).stats.running == 1, "runs")

    await own_provider.stop()

    with pytest.raises(BackendUnavailableError, match="the engine process was stopped"):
        await asking


async def test_start_that_is_cancelled_leaves_no_process(make_provider: MakeProvider) -> None:
    provider = make_provider()
    starting = asyncio.create_task(provider.start())
    await until(lambda: engine_of(provider).pid is not None, "launched")
    pid = engine_of(provider).pid
    assert pid is not None

    starting.cancel()
    await asyncio.wait([starting])
    await provider.stop()

    assert not is_alive(pid)


async def test_start_that_takes_too_long_is_given_up(make_provider: MakeProvider) -> None:
    provider = make_provider(start_timeout_s=0.05)

    with pytest.raises(BackendUnavailableError, match=r"not ready after 0\.05 s \(start_timeout_s\)"):
        await provider.start()

    assert engine_of(provider).pid is None


async def test_checkpoint_that_can_not_be_served_is_refused_at_start(
    make_provider: MakeProvider, checkpoint_without_template: Path
) -> None:
    weights = checkpoint_without_template / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    provider = make_provider(checkpoint_dir=checkpoint_without_template)

    with pytest.raises(BackendUnavailableError, match="safetensors") as refused:
        await provider.start()

    assert str(checkpoint_without_template) not in refused.value.message
    assert refused.value.provider_id == "engine"
    assert engine_of(provider).pid is None


async def test_request_waits_a_limited_time_for_an_engine_that_can_not_come_back(
    checkpoint_without_template: Path,
) -> None:
    settings = EngineSettings(checkpoint_dir=str(checkpoint_without_template), device="cpu")
    client = EngineClient(settings, EngineLimits(restart_wait_s=0.1), logging.getLogger("test"))
    await client.start()
    pid = client.pid
    assert pid is not None
    (checkpoint_without_template / "config.json").unlink()

    os.kill(pid, signal.SIGKILL)
    await until(lambda: client.pid != pid, "noticed")

    with pytest.raises(BackendUnavailableError, match="restarting") as unavailable:
        async for _ in client.stream(Submit(0, TextPrompt("hello"))):
            pass
    assert unavailable.value.retry_after_s
    await until(lambda: client.restarts >= 1 and "config.json" in _why_not(client), "the reason is known")
    await client.stop()


def _why_not(client: EngineClient) -> str:
    try:
        client.check()
    except BackendUnavailableError as error:
        return error.message
    return ""
