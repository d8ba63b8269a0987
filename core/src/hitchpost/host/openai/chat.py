"""POST /v1/chat/completions."""

from collections.abc import AsyncGenerator
from typing import cast

from aiohttp import web

from hitchpost.api import InferenceEvent
from hitchpost.host.exchange import context_of
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK
from hitchpost.host.openai import encode, translate, wire
from hitchpost.host.openai.chunks import ChatChunks
from hitchpost.host.openai.handling import read_json
from hitchpost.host.sse import stream_events


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation."""
    body = await read_json(request, wire.ChatCompletionRequest)
    asked, context = translate.to_chat_request(body), context_of(request)
    inference, head = request.app[STACK].inference, encode.AnswerHead.new("chatcmpl", body.model)
    if body.stream:
        events = cast("AsyncGenerator[InferenceEvent, None]", inference.stream_chat_completion(asked, context))
        return await stream_events(request, events, ChatChunks(head, include_usage=translate.includes_usage(body)))
    return json_response(encode.chat_completion(await inference.chat_completion(asked, context), head))


__all__ = ["chat_completions"]
