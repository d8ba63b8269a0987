"""Calls of boto3 with all that belongs to reading their answers. They block: they are for the threads of `Workers`."""

from collections.abc import Generator, Mapping
from typing import Any

from hitchpost.api import Model
from hitchpost.errors import BadBackendAnswerError
from hitchpost_bedrock.aws.errors import translated_errors
from hitchpost_bedrock.aws.transport import MAX_ANSWER_BYTES
from hitchpost_bedrock.inference.chat_events import stream_of
from hitchpost_bedrock.inference.model_list import models_of

MAX_PAGES = 100
Arguments = Mapping[str, Any]


def conversed(client: Any, arguments: Arguments, *, streams: bool) -> Generator[dict[str, Any], None, None]:
    """The events of ConverseStream; where it is not to stream, what Converse answers as the same events."""
    with translated_errors():
        if streams:
            yield from _events(client.converse_stream(**arguments)["stream"])
        else:
            yield from stream_of(client.converse(**arguments))


def invoked(client: Any, arguments: Arguments) -> tuple[bytes, Mapping[str, str]]:
    """The body and the headers of what InvokeModel answers."""
    with translated_errors():
        answer = client.invoke_model(**arguments)
        body = answer["body"]
        try:
            data = body.read(MAX_ANSWER_BYTES + 1)
            if len(data) > MAX_ANSWER_BYTES:
                raise BadBackendAnswerError(f"Bedrock answered more than {MAX_ANSWER_BYTES} bytes")
            return data, answer["ResponseMetadata"]["HTTPHeaders"]
        finally:
            body.close()


def invoked_chunks(client: Any, arguments: Arguments, *, streams: bool) -> Generator[bytes, None, None]:
    """The chunks of InvokeModelWithResponseStream; where it is not to stream, the only one of InvokeModel."""
    if not streams:
        yield invoked(client, arguments)[0]
        return
    with translated_errors():
        for event in _events(client.invoke_model_with_response_stream(**arguments)["body"]):
            if "chunk" in event:
                yield event["chunk"].get("bytes", b"")


def _events(stream: Any) -> Generator[dict[str, Any], None, None]:
    try:
        yield from stream
    finally:
        stream.close()


def listed_models(client: Any) -> list[Model]:
    """The models of a region with its inference profiles, of all pages.

    Raises:
        BadBackendAnswerError: the pages don't end.
    """
    with translated_errors():
        summaries = client.list_foundation_models().get("modelSummaries", [])
        profiles: list[dict[str, Any]] = []
        for kind in ("SYSTEM_DEFINED", "APPLICATION"):
            pages = client.get_paginator("list_inference_profiles").paginate(typeEquals=kind)
            for number, page in enumerate(pages):
                if number == MAX_PAGES:
                    raise BadBackendAnswerError("Bedrock's list of inference profiles does not end")
                profiles += page.get("inferenceProfileSummaries", [])
        return models_of(summaries, profiles)


__all__ = ["conversed", "invoked", "invoked_chunks", "listed_models"]
