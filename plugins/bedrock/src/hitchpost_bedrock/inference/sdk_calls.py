"""Calls of boto3 with all that belongs to reading their answers. They block: they are for the threads of `Workers`."""

from collections.abc import Generator, Mapping
from typing import Any

from hitchpost.api import Model
from hitchpost.errors import BadBackendAnswerError
from hitchpost_bedrock.inference.model_list import models_of

MAX_PAGES = 100


def read_stream(stream: Any) -> Generator[dict[str, Any], None, None]:
    """The events of an EventStream, which is closed at the end."""
    try:
        yield from stream
    finally:
        stream.close()


def invoked(client: Any, arguments: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
    """The body and the headers of what InvokeModel answers."""
    answer = client.invoke_model(**arguments)
    body = answer["body"]
    try:
        return body.read(), answer["ResponseMetadata"]["HTTPHeaders"]
    finally:
        body.close()


def listed_models(client: Any) -> list[Model]:
    """The models of a region with its inference profiles, of all pages.

    Raises:
        BadBackendAnswerError: the pages don't end.
    """
    summaries = client.list_foundation_models().get("modelSummaries", [])
    profiles: list[dict[str, Any]] = []
    for kind in ("SYSTEM_DEFINED", "APPLICATION"):
        pages = client.get_paginator("list_inference_profiles").paginate(typeEquals=kind)
        for number, page in enumerate(pages):
            if number == MAX_PAGES:
                raise BadBackendAnswerError("Bedrock's list of inference profiles does not end")
            profiles += page.get("inferenceProfileSummaries", [])
    return models_of(summaries, profiles)


__all__ = ["invoked", "listed_models", "read_stream"]
