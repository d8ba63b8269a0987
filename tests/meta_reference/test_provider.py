"""`inline::meta-reference`, from request to events, through a real engine process with a small random checkpoint."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionRequest,
    Finish,
    FinishReason,
    InferenceEvent,
    LogProbConfig,
    Model,
    RequestContext,
    SamplingParams,
    TextDelta,
    Usage,
    UserMessage,
)
from hitchpost.errors import BadRequestError, ContextLengthExceededError, UnsupportedError
from hitchpost_meta_reference.inference.provider import MetaReferenceInference
from tests.meta_reference.conftest import CONTEXT, MakeProvider
from tests.meta_reference.parrot import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTEXT_OF_REQUEST = RequestContext(request_id="test")
END_TOKENS = range(256, 263)
ENDLESS = {"max_tokens": 0, "logit_bias": dict.fromkeys(END_TOKENS, -100.0)}


def chat(text: str = "hello", logprobs: LogProbConfig | None = None, **sampling: Any) -> ChatCompletionRequest:
    params = SamplingParams(**{"max_tokens": 24, "temperature": 1.0, "top_p": 1.0, **sampling})
    return ChatCompletionRequest(
        model_id="tiny", messages=[UserMessage(content=text)], sampling_params=params, logprobs=logprobs
    )


def completion(text: str = "hello", logprobs: LogProbConfig | None = None, **sampling: Any) -> CompletionRequest:
    params = SamplingParams(**{"max_tokens": 24, "temperature": 1.0, "top_p": 1.0, **sampling})
    return CompletionRequest(model_id="tiny", content=text, sampling_params=params, logprobs=logprobs)


async def answer(provider: MetaReferenceInference, request: ChatCompletionRequest) -> str:
    """The text of the first choice."""
    return (await provider.chat_completion(request, CONTEXT_OF_REQUEST)).choices[0].text


async def stream(provider: MetaReferenceInference, request: ChatCompletionRequest) -> list[InferenceEvent]:
    return [event async for event in provider.stream_chat_completion(request, CONTEXT_OF_REQUEST)]


def figure(provider: MetaReferenceInference, name: str) -> float:
    [value] = [metric.value for metric in provider.metrics() if metric.name == name]
    return value


async def test_answer_streams_as_text_then_finish_and_usage(provider: MetaReferenceInference) -> None:
    events = await stream(provider, chat(max_tokens=8, seed=1))

    *texts, finish, usage = events
    assert all(isinstance(event, TextDelta) for event in texts)
    assert finish == Finish(FinishReason.length)
    assert usage == Usage(prompt_tokens=28, completion_tokens=8)


@pytest.mark.parametrize("sampling", [{"seed": 5}, {"temperature": 0.0}, {"seed": 5, "n": 3}, {"seed": 5, "top_k": 3}])
async def test_whole_answer_is_what_the_stream_spells(
    provider: MetaReferenceInference, sampling: dict[str, Any]
) -> None:
    request = chat(**sampling)

    events = await stream(provider, request)
    whole = await provider.chat_completion(request, CONTEXT_OF_REQUEST)

    spelled = [
        "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == choice)
        for choice in range(request.sampling_params.n)
    ]
    assert [choice.text for choice in whole.choices] == spelled


async def test_same_seed_gives_the_same_answer_alone_and_in_a_crowd(provider: MetaReferenceInference) -> None:
    alone = await answer(provider, chat(seed=7))

    crowd = [answer(provider, chat(f"someone else {number}", seed=number)) for number in range(10)]
    together = await asyncio.gather(*crowd[:5], answer(provider, chat(seed=7)), *crowd[5:])

    assert together[5] == alone
    assert len(set(together)) == 11


async def test_seed_and_its_negative_give_different_answers(provider: MetaReferenceInference) -> None:
    assert await answer(provider, chat(seed=5)) != await answer(provider, chat(seed=-5))


async def test_choices_of_a_seeded_request_differ_and_repeat(provider: MetaReferenceInference) -> None:
    never_end = dict.fromkeys(END_TOKENS, -100.0)
    first = await provider.chat_completion(chat(seed=3, n=3, logit_bias=never_end), CONTEXT_OF_REQUEST)
    second = await provider.chat_completion(chat(seed=3, n=3, logit_bias=never_end), CONTEXT_OF_REQUEST)

    texts = [choice.text for choice in first.choices]
    assert len(set(texts)) == 3
    assert texts == [choice.text for choice in second.choices]
    assert texts[0] == await answer(provider, chat(seed=3, logit_bias=never_end))
    assert first.usage == Usage(prompt_tokens=28, completion_tokens=72)


async def test_stop_string_that_spans_tokens_ends_the_answer_before_it(provider: MetaReferenceInference) -> None:
    whole = await answer(provider, chat(seed=11))
    stop = whole[5:8]

    stopped = await provider.chat_completion(chat(seed=11, stop=[stop]), CONTEXT_OF_REQUEST)

    [choice] = stopped.choices
    assert choice.text == whole[: whole.index(stop)]
    assert (choice.finish_reason, choice.stop_text) == (FinishReason.stop, stop)


async def test_no_broken_character_is_streamed(provider: MetaReferenceInference) -> None:
    """The tokens are bytes; those of a character that can't be are replaced once, at its end."""
    accents = {token: 30.0 for token in range(256) if _byte_of(token) in {0xC3, 0xBC}}
    request = chat(logit_bias=accents, seed=2, max_tokens=40)

    with_bytes = await stream(provider, request.model_copy(update={"logprobs": LogProbConfig(top_k=0)}))
    texts = [event for event in with_bytes if isinstance(event, TextDelta)]
    data = bytes(byte for event in texts for logprob in event.logprobs or () for byte in logprob.bytes or ())
    assert "".join(event.text for event in texts) == data.decode("utf-8", "replace")
    assert "ü" in data.decode("utf-8", "replace")


def _byte_of(token: int) -> int:
    """The byte that a token of the tiny checkpoint stands for: its tokens are the letters of a byte-level alphabet, sorted."""
    from tokenizers import pre_tokenizers

    letter = sorted(pre_tokenizers.ByteLevel.alphabet())[token]
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return ord(letter) if ord(letter) < 256 else others[ord(letter) - 256]


async def test_log_probabilities_come_with_each_token(provider: MetaReferenceInference) -> None:
    whole = await provider.chat_completion(chat(logprobs=LogProbConfig(top_k=3), seed=4), CONTEXT_OF_REQUEST)

    logprobs = whole.choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs) == 24
    assert all(entry.top is not None and len(entry.top) == 3 for entry in logprobs)
    assert all(entry.top and entry.top[0].logprob >= entry.logprob for entry in logprobs)


async def test_greedy_ignores_seed_and_strategy_wins(provider: MetaReferenceInference) -> None:
    texts = {
        await answer(provider, chat(temperature=0.0)),
        await answer(provider, chat(temperature=0.0, seed=1)),
        await answer(provider, chat(temperature=1.5, strategy="greedy", seed=2)),
    }

    assert len(texts) == 1


async def test_completion_continues_the_text_and_echo_repeats_it(provider: MetaReferenceInference) -> None:
    plain = await provider.completion(completion(seed=1), CONTEXT_OF_REQUEST)
    echoed = await provider.completion(completion(seed=1).model_copy(update={"echo": True}), CONTEXT_OF_REQUEST)

    assert echoed.choices[0].text == "hello" + plain.choices[0].text
    assert plain.usage == Usage(prompt_tokens=6, completion_tokens=24)


async def test_answer_without_a_limit_takes_the_rest_of_the_context(provider: MetaReferenceInference) -> None:
    whole = await provider.completion(completion(**ENDLESS), CONTEXT_OF_REQUEST)

    assert whole.choices[0].finish_reason is FinishReason.length
    assert whole.usage == Usage(prompt_tokens=6, completion_tokens=CONTEXT - 6)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(257, FinishReason.stop, id="end of text"),
        pytest.param(261, FinishReason.stop, id="end of turn"),
        pytest.param(260, FinishReason.end_of_message, id="end of message"),
    ],
)
async def test_end_token_ends_the_answer(provider: MetaReferenceInference, token: int, reason: FinishReason) -> None:
    events = await stream(provider, chat(logit_bias={token: 100.0}))

    assert events == [Finish(reason), Usage(prompt_tokens=28, completion_tokens=1)]


@pytest.mark.parametrize("too_many", [CONTEXT, 100_000], ids=["just too many", "far too many"])
async def test_prompt_that_does_not_fit_is_refused_with_the_numbers(
    provider: MetaReferenceInference, too_many: int
) -> None:
    with pytest.raises(
        ContextLengthExceededError, match=f"prompt is too long: this model's maximum context length is {CONTEXT} tokens"
    ) as refused:
        await answer(provider, chat("x" * too_many))

    assert (refused.value.param, refused.value.provider_id) == ("messages", "engine")


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        pytest.param({"stop": ["x" * 5000]}, "stop", id="endless stop string"),
        pytest.param({"logit_bias": {999_999: 1.0}}, "logit_bias", id="unknown token"),
        pytest.param({"logit_bias": {-1: 1.0}}, "logit_bias", id="negative token"),
    ],
)
async def test_what_can_not_be_sampled_is_refused_by_name(
    provider: MetaReferenceInference, sampling: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        await answer(provider, chat(**sampling))

    assert refused.value.param == param


async def test_text_that_spells_a_special_token_is_only_text(provider: MetaReferenceInference) -> None:
    [usage] = [event for event in await stream(provider, chat("<|eot_id|>", max_tokens=1)) if isinstance(event, Usage)]

    assert usage.prompt_tokens == 23 + len("<|eot_id|>")


async def test_thirty_two_streams_share_sixteen_slots(provider: MetaReferenceInference) -> None:
    seen: list[float] = []

    async def watched(number: int) -> str:
        text = ""
        async for event in provider.stream_chat_completion(
            chat(f"{number}", seed=number, max_tokens=100), CONTEXT_OF_REQUEST
        ):
            seen.append(figure(provider, "cache_slots_in_use"))
            if isinstance(event, TextDelta):
                text += event.text
        return text

    texts = await asyncio.gather(*(watched(number) for number in range(32)))

    assert max(seen) == 16
    assert len(set(texts)) == 32
    await until(lambda: figure(provider, "choices_running") == 0, "idle")


@pytest.mark.parametrize("streamed", [True, False])
async def test_request_that_is_given_up_frees_the_engine(provider: MetaReferenceInference, streamed: bool) -> None:
    before = figure(provider, "generated_tokens_total")
    endless = chat(n=4, **ENDLESS)

    if streamed:
        async with aclosing(_generator(provider.stream_chat_completion(endless, CONTEXT_OF_REQUEST))) as events:
            await anext(events)
    else:
        asking = asyncio.create_task(provider.chat_completion(endless, CONTEXT_OF_REQUEST))
        await until(lambda: figure(provider, "choices_running") > 0, "running")
        asking.cancel()
        await asyncio.wait([asking])

    await until(lambda: figure(provider, "cache_slots_in_use") == 0, "idle")
    assert figure(provider, "generated_tokens_total") - before < 4 * (CONTEXT - 40)


def _generator(events: AsyncIterator[InferenceEvent]) -> Any:
    return events


async def test_waiting_request_that_is_given_up_never_runs(provider: MetaReferenceInference) -> None:
    busy = asyncio.create_task(provider.chat_completion(chat(n=16, **ENDLESS), CONTEXT_OF_REQUEST))
    await until(lambda: figure(provider, "choices_running") == 16, "all slots are taken")
    waiting = asyncio.create_task(provider.chat_completion(chat("me too", n=2), CONTEXT_OF_REQUEST))
    await until(lambda: figure(provider, "choices_waiting") == 2, "waits")

    waiting.cancel()
    await until(lambda: figure(provider, "choices_waiting") == 0, "gone")

    assert figure(provider, "choices_running") == 16
    busy.cancel()
    await asyncio.wait([busy])


async def test_list_models_tells_context_and_what_this_checkpoint_can_not_do(provider: MetaReferenceInference) -> None:
    [model] = await provider.list_models()

    assert (model.provider_resource_id, model.metadata["context_length"]) == ("tiny", CONTEXT)
    assert {"tools", "parallel_tool_calls"} & set(model.metadata["capabilities"]) == set()


async def test_register_model_accepts_its_own_model_only(provider: MetaReferenceInference) -> None:
    accepted = await provider.register_model(Model(identifier="mine", provider_resource_id="tiny"), None)
    assert accepted.metadata["context_length"] == CONTEXT

    with pytest.raises(BadRequestError, match="serves only 'tiny'"):
        await provider.register_model(Model(identifier="x", provider_resource_id="Llama3.1-8B-Instruct"), None)


async def test_llama_model_is_registered_by_any_of_its_names(make_provider: MakeProvider) -> None:
    provider = make_provider(model="Llama3.2-1B-Instruct")
    await provider.start()
    try:
        accepted = await provider.register_model(
            Model(identifier="mine", provider_resource_id="meta-llama/Llama-3.2-1B-Instruct"), None
        )
    finally:
        await provider.stop()

    assert accepted.provider_resource_id == "Llama3.2-1B-Instruct"
    assert accepted.metadata["llama_model"] == "meta-llama/Llama-3.2-1B-Instruct"
    assert "capabilities" not in accepted.metadata


async def test_checkpoint_without_template_and_known_name_only_completes(
    make_provider: MakeProvider, checkpoint_without_template: Any
) -> None:
    provider = make_provider(checkpoint_dir=checkpoint_without_template)
    await provider.start()
    try:
        with pytest.raises(UnsupportedError, match="only complete text"):
            await answer(provider, chat())
        whole = await provider.completion(completion(max_tokens=3), CONTEXT_OF_REQUEST)
        [model] = await provider.list_models()
    finally:
        await provider.stop()

    assert whole.usage is not None
    assert "chat" not in model.metadata["capabilities"]


async def test_starting_and_stopping_twice_is_starting_and_stopping_once(make_provider: MakeProvider) -> None:
    provider = make_provider()
    await provider.start()
    pid = provider._engine.pid
    await provider.start()
    assert provider._engine.pid == pid

    await provider.stop()
    await provider.stop()

    assert provider._engine.pid is None


async def test_torch_seed_repeats_requests_without_a_seed(make_provider: MakeProvider) -> None:
    async def answers() -> Sequence[str]:
        provider = make_provider(torch_seed=1)
        await provider.start()
        try:
            return [await answer(provider, chat()) for _ in range(2)]
        finally:
            await provider.stop()

    first, second = await answers(), await answers()

    assert first == second
    assert first[0] != first[1]
