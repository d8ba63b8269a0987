"""POST /v1/completions."""

from collections.abc import AsyncGenerator
from typing import cast

from aiohttp import web

from hitchpost.api import CompletionEvent
from hitchpost.host.exchange import context_of
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK
from hitchpost.host.openai import encode, translate, wire
from hitchpost.host.openai.chunks import CompletionChunks
from hitchpost.host.openai.handling import read_json
from hitchpost.host.openai.side_by_side import gather_answers, merge_streams
from hitchpost.host.sse import stream_events


async def completions(request: web.Request) -> web.StreamResponse:
    """Continue one or several texts."""
    body = await read_json(request, wire.CompletionRequest)
    asked, context = translate.to_completion_requests(body), context_of(request)
    inference, head, n = request.app[STACK].inference, encode.AnswerHead.new("cmpl", body.model), body.n or 1
    if body.stream:
        streams = [
            cast("AsyncGenerator[CompletionEvent, None]", inference.stream_completion(prompt, context))
            for prompt in asked
        ]
        events = streams[0] if len(streams) == 1 else merge_streams(streams, n)
        return await stream_events(
            request, events, CompletionChunks(head, include_usage=translate.includes_usage(body))
        )
    parts = await gather_answers([inference.completion(prompt, context) for prompt in asked])
    return json_response(encode.completion(parts, n, head))


__all__ = ["completions"]
