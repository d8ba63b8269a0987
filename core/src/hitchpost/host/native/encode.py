"""Whole answers in the native form. It has one choice, no usage and no reasoning, and shows a refusal as text."""

import math
from collections.abc import Callable
from types import UnionType
from typing import Any, get_args

from hitchpost.api import (
    BatchChatCompletionResponse,
    BatchCompletionResponse,
    ChatCompletionResponse,
    CompletionResponse,
    EmbeddingsResponse,
    FinishReason,
    InsertDocumentsResponse,
    QueryDocumentsResponse,
    TokenLogprob,
    ToolCall,
    shallow_arguments,
)
from hitchpost.errors import BadRequestError, quoted
from hitchpost.host.native import wire

STOP_REASONS: dict[FinishReason, wire.StopReasonName] = {
    FinishReason.stop: "end_of_turn",
    FinishReason.tool_calls: "end_of_turn",
    FinishReason.content_filter: "end_of_turn",
    FinishReason.length: "out_of_tokens",
    FinishReason.end_of_message: "end_of_message",
}
LOWEST_LOGPROB = -9999.0
"""In place of minus infinity, which JSON can't say."""
FAILURES_NAMED = 20
"""How many documents that did not go in an error message lists."""
FAILURE_CHARS = 300
"""How much of each one's reason it repeats."""


# --- whole answers ---


def chat_completion(answer: ChatCompletionResponse) -> wire.ChatCompletionAnswer:
    """The answer of chat-completion: choice 0. A call that can't be read goes out as the text that the model wrote."""
    choice = answer.choices[0]
    readable: list[wire.ToolCallAnswer] = []
    text = choice.text + choice.refusal
    for call in choice.tool_calls:
        shown = native_tool_call(call)
        if shown is None:
            text += call.arguments_json
        else:
            readable.append(shown)
    return {
        "completion_message": {
            "role": "assistant",
            "content": text,
            "stop_reason": STOP_REASONS[choice.finish_reason],
            "tool_calls": readable,
        },
        "logprobs": logprobs(choice.logprobs),
    }


def completion(answer: CompletionResponse) -> wire.CompletionAnswer:
    """The answer of completion: choice 0."""
    choice = answer.choices[0]
    return {
        "content": choice.text,
        "stop_reason": STOP_REASONS[choice.finish_reason],
        "logprobs": logprobs(choice.logprobs),
    }


def embeddings(answer: EmbeddingsResponse) -> wire.EmbeddingsAnswer:
    """The answer of embeddings."""
    return {"embeddings": answer.embeddings}


def batch_chat_completion(answer: BatchChatCompletionResponse) -> wire.BatchAnswer:
    """The answer of batch-inference/chat-completion."""
    return {"completion_message_batch": [chat_completion(one)["completion_message"] for one in answer.batch]}


def batch_completion(answer: BatchCompletionResponse) -> wire.BatchAnswer:
    """The answer of batch-inference/completion: texts as messages, as the wire declares it."""
    return {
        "completion_message_batch": [
            {
                "role": "assistant",
                "content": one.choices[0].text,
                "stop_reason": STOP_REASONS[one.choices[0].finish_reason],
                "tool_calls": [],
            }
            for one in answer.batch
        ]
    }


def insertion(answer: InsertDocumentsResponse) -> None:
    """The answer of memory/insert has nothing in it.

    Raises:
        BadRequestError: some of the documents did not go in; the message says which, why, and that the others are there.
    """
    failed = answer.failed
    if not failed:
        return
    named = [f"{quoted(report.document_id)}: {(report.error or '')[:FAILURE_CHARS]}" for report in failed]
    if len(failed) > FAILURES_NAMED:
        named[FAILURES_NAMED:] = [f"and {len(failed) - FAILURES_NAMED} more"]
    went_in = len(answer.documents) - len(failed)
    others = f"; the other {went_in} went in" if went_in else ""
    raise BadRequestError(
        f"{len(failed)} of {len(answer.documents)} documents did not go in{others}. {'; '.join(named)}",
        param="documents",
    )


def query_documents(answer: QueryDocumentsResponse) -> wire.QueryDocumentsAnswer:
    """The answer of memory/query: chunks without what clients of this wire don't know."""
    chunks: list[wire.ChunkAnswer] = [
        {"content": chunk.content, "token_count": chunk.token_count, "document_id": chunk.document_id}
        for chunk in answer.chunks
    ]
    return {"chunks": chunks, "scores": answer.scores}


ENCODED: dict[type, tuple[Callable[[Any], Any], type]] = {
    ChatCompletionResponse: (chat_completion, wire.ChatCompletionAnswer),
    CompletionResponse: (completion, wire.CompletionAnswer),
    EmbeddingsResponse: (embeddings, wire.EmbeddingsAnswer),
    BatchChatCompletionResponse: (batch_chat_completion, wire.BatchAnswer),
    BatchCompletionResponse: (batch_completion, wire.BatchAnswer),
    InsertDocumentsResponse: (insertion, type(None)),
    QueryDocumentsResponse: (query_documents, wire.QueryDocumentsAnswer),
}
"""Per type of answer whose native form differs: what writes it, and that form."""


def native_answer(answer: Any) -> Any:
    """An operation's answer in its native form."""
    encoded = ENCODED.get(type(answer))
    return answer if encoded is None else encoded[0](answer)


def native_form(answer: Any) -> Any:
    """The type of an operation's answer in its native form."""
    kinds = get_args(answer) if isinstance(answer, UnionType) else (answer,)
    return next((ENCODED[kind][1] for kind in kinds if kind in ENCODED), answer)


# --- parts ---


def logprobs(tokens: list[TokenLogprob] | None) -> list[wire.TokenLogProbs] | None:
    """One entry per token: the most likely tokens that were asked for, and the chosen one."""
    if tokens is None:
        return None
    return [
        {
            "logprobs_by_token": {
                **{top.token: _finite(top.logprob) for top in token.top or ()},
                token.token: _finite(token.logprob),
            }
        }
        for token in tokens
    ]


def _finite(number: float) -> float:
    return number if math.isfinite(number) else LOWEST_LOGPROB


def native_tool_call(call: ToolCall) -> wire.ToolCallAnswer | None:
    """A call with arguments at most one level deep; None where the model's text isn't a JSON object."""
    arguments = call.find_arguments()
    if arguments is None:
        return None
    return {"call_id": call.call_id, "tool_name": call.tool_name, "arguments": shallow_arguments(arguments)}


__all__ = [
    "ENCODED",
    "STOP_REASONS",
    "batch_chat_completion",
    "batch_completion",
    "chat_completion",
    "completion",
    "embeddings",
    "insertion",
    "logprobs",
    "native_answer",
    "native_form",
    "native_tool_call",
    "query_documents",
]
