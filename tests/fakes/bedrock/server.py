"""A server that speaks as Amazon Bedrock does: both services, over plain HTTP. It shares no code with the provider.

What it answers is held against botocore's description of the services, so it can't have members or events that they lack.
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.bedrock import frames, speech
from tests.fakes.bedrock.listing import PAGE_SIZE, PROFILES, SUMMARIES
from tests.fakes.bedrock.rules import ON_DEMAND, Refused, check_conversation, invalid
from tests.fakes.bedrock.shapes import CONVERSE_STREAM, INVOKE_STREAM, checked
from tests.fakes.mid_answer import MidAnswerFaults

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHOWN_EVENTS = 3
"""After so many events a stream stalls or breaks off."""
GOOD_KEYS = re.compile(r"AKIA\w+|ASIA\w+")


class FakeBedrock(MidAnswerFaults):
    """Running within its context, at `url`.

    What a test may set: `refusals`, the next of which each inference request gets; `answering`, which answers in place of the service;
    `in_stream`, frames after which a stream ends; `may_list`.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self._transports: set[asyncio.Transport] = set()
        self.port = 0
        self.running = 0
        self.requests: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refusals: list[Refused] = []
        self.retry_after: str | None = None
        self.answering: Answer | None = None
        self.in_stream: bytes | None = None
        self.may_list = True

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        host, self.port = self._runner.addresses[0][:2]
        self.url = f"https://localhost:{self.port}" if self._tls else f"http://{host}:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """Ends the server with whatever it is doing; it can be entered again, on the same port."""
        await self._runner.cleanup()
        for transport in self._transports:
            # A TLS connection would wait for the farewell of a client that has shut its socket.
            transport.abort()
        await asyncio.sleep(0)

    # --- routing, on the path as it was sent ---

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.running += 1
        if request.transport is not None:
            self._transports.add(request.transport)
        try:
            path = request.raw_path.partition("?")[0]
            self.headers.append(dict(request.headers))
            caller = self._caller(request)
            if request.method == "GET":
                return self._listing(request, path)
            found = re.fullmatch(r"/model/([^/]+)/([a-z-]+)", path)
            if found is None:
                raise Refused(404, "UnknownOperationException", "")
            body = json.loads(await request.read())
            self.requests.append((path, body))
            if self.answering is not None:
                return await self.answering(request)
            if self.refusals:
                raise self.refusals.pop(0)
            return await self._model(request, unquote(found[1]), found[2], body, caller)
        except Refused as refused:
            headers = {"x-amzn-ErrorType": f"{refused.code}:http://internal.amazon.com/coral/"}
            if self.retry_after:
                headers["Retry-After"] = self.retry_after
            return web.json_response({"message": refused.text}, status=refused.status, headers=headers)
        except ConnectionResetError:
            # The client has left; aiohttp would log it as an error of ours.
            return web.Response(status=499)
        finally:
            self.running -= 1

    def _caller(self, request: web.Request) -> str:
        authorization = request.headers.get("Authorization", "")
        if authorization.startswith("Bearer "):
            return authorization.removeprefix("Bearer ")
        found = re.match(r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/[a-z0-9-]+/bedrock/aws4_request, ", authorization)
        if found is None:
            raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        if not GOOD_KEYS.fullmatch(found[1]):
            raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        return found[1]

    def _listing(self, request: web.Request, path: str) -> web.Response:
        if not self.may_list:
            text = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: bedrock:ListFoundationModels"
            raise Refused(403, "AccessDeniedException", text)
        if path == "/foundation-models":
            return web.json_response(checked("bedrock", "ListFoundationModels", {"modelSummaries": SUMMARIES}))
        if path != "/inference-profiles":
            raise Refused(404, "ResourceNotFoundException", "no such thing")
        wanted = [profile for profile in PROFILES if profile["type"] == request.query.get("type", "SYSTEM_DEFINED")]
        start = int(request.query.get("nextToken", 0))
        page: dict[str, Any] = {"inferenceProfileSummaries": wanted[start : start + PAGE_SIZE]}
        if start + PAGE_SIZE < len(wanted):
            page["nextToken"] = str(start + PAGE_SIZE)
        return web.json_response(checked("bedrock", "ListInferenceProfiles", page))

    # --- models ---

    async def _model(
        self, request: web.Request, model: str, operation: str, body: dict[str, Any], caller: str
    ) -> web.StreamResponse:
        base = base_of(model)
        summary = next((summary for summary in SUMMARIES if summary["modelId"] == base), None)
        if summary is None:
            raise invalid("The provided model identifier is invalid.")
        if base == model and "ON_DEMAND" not in summary["inferenceTypesSupported"]:
            raise invalid(f"Invocation of model ID {model} with on-demand throughput {ON_DEMAND}")
        match operation:
            case "converse":
                return await self._converse(request, body, caller)
            case "converse-stream":
                if not summary["responseStreamingSupported"]:
                    raise invalid("The model is unsupported for streaming")
                return await self._send_events(request, converse_events(body, caller))
            case "invoke" if "embed" in base:
                await self.meet_fault(request)
                return embedding_answer(base, body)
            case "invoke":
                await self.meet_fault(request)
                return web.json_response(generation(body))
            case "invoke-with-response-stream":
                chunks = [base64.b64encode(json.dumps(chunk).encode()).decode() for chunk in generation_chunks(body)]
                return await self._send_events(request, [INVOKE_STREAM.event("chunk", {"bytes": c}) for c in chunks])
        raise Refused(404, "UnknownOperationException", "")

    async def _converse(self, request: web.Request, body: dict[str, Any], caller: str) -> web.Response:
        blocks, reason = answer_of(body, caller)
        await self.meet_fault(request)
        whole: dict[str, Any] = {
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": reason,
            "usage": usage_of(body, blocks),
            "metrics": {"latencyMs": 412},
        }
        if body.get("guardrailConfig", {}).get("trace") == "enabled":
            whole["trace"] = TRACE
        return web.json_response(checked("bedrock-runtime", "Converse", whole))

    async def _send_events(self, request: web.Request, messages: list[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/vnd.amazon.eventstream"})
        await response.prepare(request)
        held = b""
        for number, message in enumerate(messages):
            if number == SHOWN_EVENTS:
                await self.meet_fault(request)
                if self.in_stream is not None:
                    await response.write(held + self.in_stream)
                    await response.write_eof()
                    return response
            # Pieces end anywhere: within a message, or after two of them.
            held += message
            middle = len(held) // 2
            await response.write(held[:middle])
            held = held[middle:]
        await self.meet_fault(request)
        await response.write(held)
        await response.write_eof()
        return response


TRACE = {"guardrail": {"actionReason": "Guardrail blocked."}}


def base_of(model: str) -> str:
    name = model.rpartition("/")[2]
    name = {profile["inferenceProfileId"]: profile["models"][0]["modelArn"] for profile in PROFILES}.get(name, name)
    return name.rpartition("/")[2]


def answer_of(body: dict[str, Any], caller: str) -> tuple[list[dict[str, Any]], str]:
    check_conversation(body)
    said = str(body["messages"][-1])
    if "guardrailConfig" in body and "forbidden" in said:
        return [{"text": "Sorry, the guardrail says no."}], "guardrail_intervened"
    blocks = speech.answer(body, caller)
    if any("toolUse" in block for block in blocks):
        return blocks, "tool_use"
    reason = "end_turn"
    for block in blocks:
        if "text" in block:
            block["text"], reason = speech.limited(block["text"], body.get("inferenceConfig", {}))
    return [block for block in blocks if block.get("text") != ""], reason


def usage_of(body: dict[str, Any], blocks: list[dict[str, Any]]) -> dict[str, int]:
    asked = len(speech.tokens_of(json.dumps(body["messages"])))
    made = sum(len(speech.tokens_of(block.get("text", "a call"))) for block in blocks)
    return {"inputTokens": asked, "outputTokens": made, "totalTokens": asked + made}


def converse_events(body: dict[str, Any], caller: str) -> list[bytes]:
    blocks, reason = answer_of(body, caller)
    event = CONVERSE_STREAM.event
    messages = [event("messageStart", {"role": "assistant"})]
    for index, block in enumerate(blocks):
        deltas: list[dict[str, Any]] = []
        if "toolUse" in block:
            use = block["toolUse"]
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            messages.append(event("contentBlockStart", {"contentBlockIndex": index, "start": start}))
            text = json.dumps(use["input"])
            deltas = [{"toolUse": {"input": piece}} for piece in ("", text[:5], text[5:])]
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]["reasoningText"]
            deltas = [{"reasoningContent": {"text": thought["text"]}}]
            deltas += [{"reasoningContent": {"signature": thought["signature"]}}]
        else:
            deltas = [{"text": token} for token in speech.tokens_of(block["text"])]
        messages += [event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}) for delta in deltas]
        # A newer service may send what nobody knows yet.
        messages.append(frames.event("somethingNew", {"a": 1}))
        messages.append(event("contentBlockStop", {"contentBlockIndex": index}))
    metadata: dict[str, Any] = {"usage": usage_of(body, blocks), "metrics": {"latencyMs": 412}}
    if body.get("guardrailConfig", {}).get("trace") == "enabled":
        metadata["trace"] = TRACE
    return [*messages, event("messageStop", {"stopReason": reason}), event("metadata", metadata)]


def generation(body: dict[str, Any]) -> dict[str, Any]:
    prompt = body["prompt"]
    text = prompt.removeprefix("<|begin_of_text|>")
    if text == prompt:
        raise invalid("the prompt is not templated")
    if not 1 <= body.get("max_gen_len", 512) <= 2048:
        raise invalid("Malformed input request: #/max_gen_len: not within 1 and 2048, please reformat your input")
    tokens = speech.tokens_of(speech.NUMBERS if "ount from one" in text else f" and so it goes on after {text}")
    made = tokens[: body.get("max_gen_len", 512)]
    return {
        "generation": "".join(made),
        "prompt_token_count": len(speech.tokens_of(text)),
        "generation_token_count": len(made),
        "stop_reason": "length" if len(made) < len(tokens) else "stop",
    }


def generation_chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    whole = generation(body)
    chunks: list[dict[str, Any]] = [
        {"generation": token, "prompt_token_count": None, "generation_token_count": number, "stop_reason": None}
        for number, token in enumerate(speech.tokens_of(whole["generation"]), start=1)
    ]
    chunks[0]["prompt_token_count"] = whole["prompt_token_count"]
    chunks[-1]["stop_reason"] = whole["stop_reason"]
    metrics = {"inputTokenCount": whole["prompt_token_count"], "outputTokenCount": whole["generation_token_count"]}
    chunks[-1]["amazon-bedrock-invocationMetrics"] = {**metrics, "invocationLatency": 9, "firstByteLatency": 3}
    return chunks


def embedding_answer(base: str, body: dict[str, Any]) -> web.Response:
    if base.startswith("cohere."):
        texts = body["texts"]
        if not 1 <= len(texts) <= 96 or "input_type" not in body:
            raise invalid("Malformed input request, please reformat your input and try again.")
        size = 1024
        if "v4" in base:
            size = body.get("output_dimension", 1536)
            if size not in (256, 512, 1024, 1536):
                raise invalid("invalid output_dimension, must be one of 256, 512, 1024, 1536")
        elif "output_dimension" in body:
            raise invalid("Malformed input request: extraneous key [output_dimension] is not permitted")
        vectors = [speech.vector(text, size) for text in texts]
        answer: dict[str, Any] = {
            "id": "1",
            "texts": texts,
            "response_type": "embeddings_floats",
            "embeddings": vectors,
        }
        if body.get("embedding_types"):
            answer |= {"response_type": "embeddings_by_type", "embeddings": {"float": vectors}}
    elif base.startswith("amazon.nova"):
        params = body["singleEmbeddingParams"]
        texts = [params["text"]["value"]]
        made = speech.vector(texts[0], params.get("embeddingDimension", 3072))
        answer = {"embeddings": [{"embeddingType": "TEXT", "embedding": made}]}
    else:
        texts = [body["inputText"]]
        if not texts[0]:
            raise invalid("Malformed input request: expected minLength: 1, actual: 0")
        size = body.get("dimensions", 1024) if "v2" in base else 1536
        answer = {"embedding": speech.vector(texts[0], size)}
        answer["inputTextTokenCount"] = len(speech.tokens_of(texts[0]))
    count = sum(len(speech.tokens_of(text)) for text in texts)
    return web.json_response(answer, headers={"X-Amzn-Bedrock-Input-Token-Count": str(count)})
