"""The OpenAPI document of the host, made from the route declarations and the types; nothing of it is written by hand."""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from hitchpost import __version__
from hitchpost.api import NATIVE_PREFIX, PROTOCOLS, routes_of
from hitchpost.host.exchange import PROVIDER_DATA_HEADERS
from hitchpost.host.native.encode import native_form
from hitchpost.host.native.streams import STREAMED
from hitchpost.host.openai.answers import Error
from hitchpost.host.openai.routes import OPENAI_ROUTES
from hitchpost.host.own.routes import OWN_ROUTES

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"
OPERATION_TEXTS = {
    "/health": "200 while the process lives.",
    "/ready": "200 once each provider was tried and while the host isn't stopping, else 503.",
    "/metrics": "Figures in Prometheus' text format.",
    "/openapi.json": "This document.",
    "/docs": "This document as a page.",
}


@dataclass(frozen=True, slots=True)
class _Operation:
    verb: str
    path: str
    tag: str
    summary: str
    request: type[BaseModel] | None = None
    answer: Any = None
    accepted: Any = None
    chunk: Any = None
    error: Any = None
    parameters: list[Json] = field(default_factory=list)

    @property
    def id(self) -> str:
        return re.sub(r"[^a-z0-9]+", "_", f"{self.verb}{self.path}".lower()).strip("_")


@cache
def openapi_document(provider_data: tuple[tuple[str, type[BaseModel]], ...] = ()) -> Json:
    """The document, OpenAPI 3.1.

    Args:
        provider_data: ids of providers that take something per request, each with its schema.
    """
    operations = [*_native_operations(), *_openai_operations(), *_own_operations(), *_host_operations()]
    types: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = []
    for operation in operations:
        for role, kind, mode in _types_of(operation):
            types.append((f"{operation.id} {role}", mode, TypeAdapter(kind)))
    types += [(f"provider data of {name}", "validation", TypeAdapter(kind)) for name, kind in provider_data]
    schemas, definitions = TypeAdapter.json_schemas(types, ref_template=_REFERENCE)
    by_key = {key: schema for (key, _), schema in schemas.items()}
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.verb.lower()] = _described(operation, by_key)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hitchpost",
            "version": __version__,
            "description": "Models behind one host, in two dialects.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "parameters": {"ProviderData": _provider_data_header(provider_data, by_key)},
        },
    }


def _provider_data_header(provider_data: Sequence[tuple[str, type[BaseModel]]], schemas: dict[str, Json]) -> Json:
    """Each provider takes its own fields out of the one object."""
    described = [{"title": name, **schemas[f"provider data of {name}"]} for name, _ in provider_data]
    schema: Json = {"type": "object"} | ({"anyOf": described} if described else {})
    return {
        "name": PROVIDER_DATA_HEADERS[0],
        "in": "header",
        "description": "A JSON object with what the provider behind the call takes per request; never logged.",
        "content": {"application/json": {"schema": schema}},
    }


# --- the operations ---


def _native_operations() -> Iterator[_Operation]:
    for api, protocol in PROTOCOLS.items():
        for route in routes_of(protocol):
            method = getattr(protocol, route.operation)
            yield _Operation(
                verb=route.verb,
                path=NATIVE_PREFIX + route.path,
                tag=f"native: {api.value}",
                summary=_first_line(method),
                request=route.request if route.verb == "POST" else None,
                answer=native_form(get_type_hints(method)["return"]),
                chunk=STREAMED[route.request][1] if route.stream_operation else None,
                parameters=_query_parameters(route.request) if route.verb == "GET" else [],
            )


def _openai_operations() -> Iterator[_Operation]:
    for route in OPENAI_ROUTES:
        yield _Operation(
            verb=route.verb,
            path=_plain_path(route.path),
            tag="openai",
            summary=_first_line(route.handler),
            request=route.request,
            answer=route.answer,
            chunk=route.chunk,
            error=Error,
            parameters=_path_parameters(route.path),
        )


def _own_operations() -> Iterator[_Operation]:
    for route in OWN_ROUTES:
        in_query = route.request if route.verb != "POST" else None
        yield _Operation(
            verb=route.verb,
            path=_plain_path(route.path),
            tag="hitchpost",
            summary=_first_line(route.handler),
            request=route.request if route.verb == "POST" else None,
            answer=route.answer,
            accepted=route.accepted,
            error=Error,
            parameters=[*_path_parameters(route.path), *(_query_parameters(in_query) if in_query else ())],
        )


def _host_operations() -> Iterator[_Operation]:
    for path, text in OPERATION_TEXTS.items():
        yield _Operation(verb="GET", path=path, tag="operations", summary=text)


def _plain_path(path: str) -> str:
    """A path of aiohttp's without the patterns of its parameters."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)


def _path_parameters(path: str) -> list[Json]:
    names = re.findall(r"\{(\w+)(?::[^}]*)?\}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(request: type[BaseModel]) -> list[Json]:
    schema = TypeAdapter(request).json_schema(mode="validation")
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": about}
        for name, about in schema.get("properties", {}).items()
    ]


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


# --- their description ---


def _types_of(operation: _Operation) -> Iterator[tuple[str, Any, Literal["validation", "serialization"]]]:
    if operation.request is not None:
        yield "request", operation.request, "validation"
    for role in ("answer", "accepted", "chunk", "error"):
        kind = getattr(operation, role)
        if kind is not None:
            yield role, kind, "serialization"


def _described(operation: _Operation, schemas: dict[str, Json]) -> Json:
    def schema(role: str) -> Json:
        return schemas.get(f"{operation.id} {role}", {})

    content: Json = {}
    if operation.answer is not None:
        content["application/json"] = {"schema": schema("answer")}
    if operation.chunk is not None:
        content["text/event-stream"] = {"schema": schema("chunk")}
    answered: Json = {"description": "The answer."}
    if content:
        answered["content"] = content
    described: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {"200": answered},
    }
    if operation.accepted is not None:
        begun: Json = {"description": "The work goes on in the background, as this job."}
        begun["content"] = {"application/json": {"schema": schema("accepted")}}
        described["responses"]["202"] = begun
    if operation.tag != "operations":
        failed: Json = {"description": "The request failed; the body says why."}
        failed["content"] = {"application/json": {"schema": schema("error")}}
        described["responses"]["default"] = failed
    if operation.tag != "operations":
        described["parameters"] = [*operation.parameters, {"$ref": "#/components/parameters/ProviderData"}]
    if operation.request is not None:
        body = {"application/json": {"schema": schema("request")}}
        described["requestBody"] = {"required": True, "content": body}
    return described


__all__ = ["OPERATION_TEXTS", "openapi_document"]
