"""Hitchpost's whole answers in OpenAI's form. Pure functions."""

import math
import sys
import time
from array import array
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hitchpost import api
from hitchpost.host.exchange import fresh_id
from hitchpost.host.openai import answers

LOWEST_LOGPROB = -9999.0
"""In place of minus infinity, which JSON can't say."""


@dataclass(slots=True)
class AnswerHead:
    """What an answer and all chunks of a stream have in common; `created` in seconds since 1970."""

    id: str
    model: str
    created: int

    @classmethod
    def new(cls, prefix: str, model: str) -> "AnswerHead":
        """A head with a fresh id such as `chatcmpl-...`; `model` is the name that the caller used."""
        return cls(fresh_id(f"{prefix}-"), model, int(time.time()))


_FINISH_REASONS: dict[api.FinishReason, answers.FinishReason] = {
    api.FinishReason.length: "length",
    api.FinishReason.content_filter: "content_filter",
    api.FinishReason.tool_calls: "tool_calls",
}


def finish_reason(reason: api.FinishReason, *, has_calls: bool) -> answers.FinishReason:
    """OpenAI's name for it; `end_of_message` is `tool_calls` where there are calls and `stop` where not."""
    return _FINISH_REASONS.get(reason) or ("tool_calls" if has_calls else "stop")


def usage(counted: api.Usage | None) -> answers.Usage | None:
    """The tokens, with their sum."""
    if counted is None:
        return None
    tokens: answers.Usage = {
        "prompt_tokens": counted.prompt_tokens,
        "completion_tokens": counted.completion_tokens,
        "total_tokens": counted.prompt_tokens + counted.completion_tokens,
    }
    if counted.cached_tokens is not None:
        tokens["prompt_tokens_details"] = {"cached_tokens": counted.cached_tokens}
    return tokens


def add_usage(counts: Iterable[api.Usage | None]) -> api.Usage | None:
    """The sum over several answers; None where nobody counted."""
    known = [count for count in counts if count is not None]
    if not known:
        return None
    cached = [count.cached_tokens for count in known if count.cached_tokens is not None]
    return api.Usage(
        prompt_tokens=sum(count.prompt_tokens for count in known),
        completion_tokens=sum(count.completion_tokens for count in known),
        cached_tokens=sum(cached) if cached else None,
    )


# --- chat completions ---


def chat_completion(answer: api.ChatCompletionResponse, head: AnswerHead) -> answers.ChatCompletion:
    """The answer of POST /v1/chat/completions."""
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "system_fingerprint": None,
        "choices": [_chat_choice(choice) for choice in answer.choices],
        "usage": usage(answer.usage),
    }


def _chat_choice(choice: api.ChatChoice) -> answers.ChatChoice:
    message: answers.AnsweredMessage = {
        "role": "assistant",
        "content": None if not choice.text and (choice.tool_calls or choice.refusal) else choice.text,
        "refusal": choice.refusal or None,
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.tool_name, "arguments": call.arguments_json},
            }
            for call in choice.tool_calls
        ]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": chat_logprobs(choice.logprobs),
        "finish_reason": finish_reason(choice.finish_reason, has_calls=bool(choice.tool_calls)),
    }


def chat_logprobs(tokens: Sequence[api.TokenLogprob] | None) -> answers.ChatLogprobs | None:
    """Log probabilities of chat."""
    if tokens is None:
        return None
    return {
        "content": [
            {
                "token": token.token,
                "logprob": _finite(token.logprob),
                "bytes": token.bytes,
                "top_logprobs": [
                    {"token": top.token, "logprob": _finite(top.logprob), "bytes": top.bytes} for top in token.top or ()
                ],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def _finite(number: float) -> float:
    return number if math.isfinite(number) else LOWEST_LOGPROB


# --- completions ---


def completion(parts: Sequence[api.CompletionResponse], n: int, head: AnswerHead) -> answers.Completion:
    """The answer of POST /v1/completions from one answer per prompt; choices are numbered prompt * n + choice."""
    return {
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": [
            _completion_choice(choice, prompt * n) for prompt, part in enumerate(parts) for choice in part.choices
        ],
        "usage": usage(add_usage(part.usage for part in parts)),
    }


def _completion_choice(choice: api.CompletionChoice, offset: int) -> answers.CompletionChoice:
    return {
        "text": choice.text,
        "index": offset + choice.index,
        "logprobs": completion_logprobs(choice.logprobs, 0),
        "finish_reason": completion_finish_reason(choice.finish_reason),
    }


def completion_finish_reason(reason: api.FinishReason) -> answers.CompletionFinishReason:
    """OpenAI's name for it; a text has no calls."""
    name = finish_reason(reason, has_calls=False)
    return "stop" if name == "tool_calls" else name


def completion_logprobs(tokens: Sequence[api.TokenLogprob] | None, offset: int) -> answers.CompletionLogprobs | None:
    """Log probabilities of a text; `offset` is how many characters came before."""
    if tokens is None:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [_by_token(token) for token in tokens],
        "text_offset": offsets,
    }


def _by_token(token: api.TokenLogprob) -> dict[str, float]:
    most_likely = {top.token: _finite(top.logprob) for top in token.top or ()}
    return {**most_likely, token.token: _finite(token.logprob)}


# --- embeddings, models ---


def embeddings(answer: api.EmbeddingsResponse, model: str, *, as_base64: bool) -> answers.Embeddings:
    """The answer of POST /v1/embeddings."""
    tokens = answer.usage.prompt_tokens if answer.usage else 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if as_base64 else vector}
            for index, vector in enumerate(answer.embeddings)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: list[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()


def model(registered: api.Model, created: int) -> answers.Model:
    """One entry of GET /v1/models. `created` stands for when the host started: nobody knows when a model was made."""
    return {"id": registered.identifier, "object": "model", "created": created, "owned_by": registered.provider_id}


__all__ = [
    "AnswerHead",
    "add_usage",
    "chat_completion",
    "chat_logprobs",
    "completion",
    "completion_finish_reason",
    "completion_logprobs",
    "embeddings",
    "finish_reason",
    "model",
    "usage",
]
