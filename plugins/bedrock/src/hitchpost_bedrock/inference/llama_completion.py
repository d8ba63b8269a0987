"""Text completion by Llama models: InvokeModel with the model's own JSON. Pure."""

import json
from collections.abc import Iterator
from typing import Any

from hitchpost.api import (
    CompletionEvent,
    CompletionRequest,
    Finish,
    FinishReason,
    ImageMedia,
    SamplingStrategy,
    TextDelta,
    Usage,
    content_items,
    content_text,
)
from hitchpost.errors import BadBackendAnswerError, BadRequestError, UnsupportedError, quoted
from hitchpost.llama import LlamaFamily, completion_prompt, prompt_text
from hitchpost_bedrock.inference.chat_request import check_sampling
from hitchpost_bedrock.inference.config import GuardrailFields, ModelSettings
from hitchpost_bedrock.inference.model_names import base_of, vendor_of
from hitchpost_bedrock.inference.stop_strings import StopCutter

MOST_TOKENS = 2048
"""What every Llama of Bedrock can be asked for; said nothing, Bedrock ends after 512."""
_REASONS = {"stop": FinishReason.stop, "length": FinishReason.length}


def invoke_arguments(
    request: CompletionRequest, model: str, settings: ModelSettings, guardrail: GuardrailFields
) -> dict[str, Any]:
    """What InvokeModel, with or without a stream, is called with.

    Raises:
        BadRequestError: there is nothing to continue.
        UnsupportedError: the model isn't a Llama, or a field can't be said.
    """
    base = settings.base_model or base_of(model)
    if vendor_of(base) != "meta":
        raise UnsupportedError("of Bedrock's models only Llama continues texts; ask this one by chat", param="model")
    if request.response_format is not None:
        raise UnsupportedError("completions of Bedrock can't be held to a form", param="response_format")
    if any(isinstance(item, ImageMedia) for item in content_items(request.content)):
        raise UnsupportedError("completions of Bedrock take no images", param="content")
    if not content_text(request.content):
        raise BadRequestError("there is no text to continue", param="content")
    return {
        "modelId": model,
        "contentType": "application/json",
        "accept": "application/json",
        "body": json.dumps(_body(request)),
        **_guardrail(guardrail),
    }


def _body(request: CompletionRequest) -> dict[str, Any]:
    params = request.sampling_params
    check_sampling(params)
    if params.said("top_k"):
        raise UnsupportedError("Llama models of Bedrock have no top_k", param="top_k")
    prompt = prompt_text(completion_prompt(content_text(request.content), LlamaFamily.llama3))
    body = {
        "prompt": prompt,
        "temperature": 0.0 if params.strategy is SamplingStrategy.greedy else params.said("temperature"),
        "top_p": params.said("top_p"),
        "max_gen_len": params.max_tokens or MOST_TOKENS,
    }
    return {name: value for name, value in body.items() if value is not None}


def _guardrail(guardrail: GuardrailFields) -> dict[str, str]:
    if guardrail.guardrail_identifier is None or guardrail.guardrail_version is None:
        return {}
    fields = {
        "guardrailIdentifier": guardrail.guardrail_identifier,
        "guardrailVersion": guardrail.guardrail_version,
    }
    return fields if guardrail.guardrail_trace is None else {**fields, "trace": guardrail.guardrail_trace.upper()}


class CompletionEvents:
    """Translates the chunks of one answer; a whole answer is its only chunk."""

    def __init__(self, request: CompletionRequest) -> None:
        self._echo = content_text(request.content) if request.echo else ""
        self._cutter = StopCutter(request.sampling_params.stop or [])
        self._prompt_tokens: int | None = None
        self._completion_tokens = 0
        self._reason: FinishReason | None = None

    @property
    def is_cut(self) -> bool:
        """Whether a stop string was found, so that the rest of the answer is of no use."""
        return self._cutter.found is not None

    def translate(self, data: bytes) -> Iterator[CompletionEvent]:
        """The text that is certain after this chunk; before the first one what was asked, where that is wanted.

        Raises:
            BadBackendAnswerError: it can't be read.
        """
        chunk = parsed_chunk(data)
        if self._echo:
            yield TextDelta(self._echo)
            self._echo = ""
        text = chunk.get("generation")
        if not isinstance(text, str):
            raise BadBackendAnswerError("Bedrock answered without a text")
        if isinstance(count := chunk.get("prompt_token_count"), int):
            self._prompt_tokens = count
        if isinstance(count := chunk.get("generation_token_count"), int):
            self._completion_tokens = count
        if (certain := self._cutter.push(text)) != "":
            yield TextDelta(certain)
        reason = chunk.get("stop_reason")
        if chunk.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            self._reason = FinishReason.content_filter
        elif reason is not None and self._reason is None:
            if not isinstance(reason, str) or reason not in _REASONS:
                raise BadBackendAnswerError(f"Bedrock's answer ended for the reason {quoted(reason)}")
            self._reason = _REASONS[reason]

    def finish(self) -> Iterator[CompletionEvent]:
        """The end, once there are no more chunks.

        Raises:
            BadBackendAnswerError: it came before Bedrock said why.
        """
        reason = FinishReason.stop if self.is_cut else self._reason
        if reason is None:
            raise BadBackendAnswerError("Bedrock's answer broke off before its end")
        if (held := self._cutter.finish()) != "":
            yield TextDelta(held)
        if self._prompt_tokens is not None:
            yield Usage(self._prompt_tokens, self._completion_tokens)
        yield Finish(reason, stop_text=self._cutter.found)


def parsed_chunk(data: bytes) -> dict[str, Any]:
    """A chunk, or a whole answer, as JSON.

    Raises:
        BadBackendAnswerError: it is none.
    """
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadBackendAnswerError("a model of Bedrock answered what is no JSON") from error
    if not isinstance(chunk, dict):
        raise BadBackendAnswerError("a model of Bedrock answered what is no JSON object")
    return chunk


__all__ = ["MOST_TOKENS", "CompletionEvents", "invoke_arguments", "parsed_chunk"]
