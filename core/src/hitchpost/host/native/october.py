"""The routes of October 2024: the native operations without a prefix, with underscores, and with the bodies and answers of that time.

One table says what differed; what it doesn't name was the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hitchpost.api import PROTOCOLS, Api, Route, routes_of

Json = dict[str, Any]

BANK_FIELDS = ("embedding_model", "chunk_size_in_tokens", "overlap_size_in_tokens")
SERVED_BY_OPERATIONS = ("/health",)
"""Routes that `hitchpost.host.operations` answers, in the same words."""


# --- bodies ---


def _registered_model(body: Json) -> Json:
    model = _object(body, "model")
    llama_model = {"llama_model": model["llama_model"]} if model.get("llama_model") else {}
    return {
        "model_id": model.get("identifier"),
        "provider_id": model.get("provider_id") or None,
        "metadata": {**_object(model, "metadata"), **llama_model},
    }


def _registered_shield(body: Json) -> Json:
    shield = _object(body, "shield")
    return {
        "shield_id": shield.get("identifier"),
        "provider_id": shield.get("provider_id") or None,
        "params": _object(shield, "params"),
    }


def _registered_bank(body: Json) -> Json:
    bank = _object(body, "memory_bank")
    return {
        "memory_bank_id": bank.get("identifier"),
        "provider_id": bank.get("provider_id") or None,
        "params": {"memory_bank_type": bank.get("type"), **_fields_of(bank, BANK_FIELDS)},
    }


def _object(body: Json, name: str) -> Json:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


# --- answers ---


def _model(model: Json) -> Json:
    metadata = model["metadata"]
    return {
        "identifier": model["identifier"],
        "llama_model": metadata.get("llama_model", model["provider_resource_id"]),
        "metadata": metadata,
        "provider_id": model["provider_id"],
    }


def _shield(shield: Json) -> Json:
    # Shields had one of four types, which was also their identifier as their providers listed them.
    kinds = ("llama_guard", "code_scanner", "prompt_guard")
    kind = next((kind for kind in kinds if kind in shield["identifier"]), "generic_content_shield")
    return {
        "identifier": shield["identifier"],
        "type": kind,
        "params": shield["params"] or {},
        "provider_id": shield["provider_id"],
    }


def _bank(bank: Json) -> Json:
    return {
        "identifier": bank["identifier"],
        "provider_id": bank["provider_id"],
        "type": bank["memory_bank_type"],
        **_fields_of(bank, BANK_FIELDS),
    }


def _completion(answer: Json) -> Json:
    message = {
        "role": "assistant",
        "content": answer["content"],
        "stop_reason": answer["stop_reason"],
        "tool_calls": [],
    }
    return {"completion_message": message, "logprobs": answer["logprobs"]}


def _nothing(answer: Any) -> None:
    return None


def _fields_of(value: Json, names: tuple[str, ...]) -> Json:
    return {name: value[name] for name in names if name in value}


def _each(one: Callable[[Json], Json]) -> Callable[[Any], Any]:
    return lambda answers: [one(answer) for answer in answers]


def _or_null(one: Callable[[Json], Json]) -> Callable[[Any], Any]:
    return lambda answer: None if answer is None else one(answer)


# --- the table ---


@dataclass(frozen=True, slots=True)
class Difference:
    """How a route of October differs from today's."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Names of that time, in body or query, to today's."""
    body: Callable[[Json], Json] | None = None
    """Makes today's body of that time's."""
    answer: Callable[[Any], Any] | None = None
    """Makes that time's answer, whole and as JSON values, of today's."""


DIFFERENCES: dict[str, Difference] = {
    "/inference/completion": Difference(fields={"model": "model_id"}, answer=_completion),
    "/inference/chat-completion": Difference(fields={"model": "model_id"}),
    "/inference/embeddings": Difference(fields={"model": "model_id"}),
    "/models/list": Difference(answer=_each(_model)),
    "/models/get": Difference(answer=_or_null(_model)),
    "/models/register": Difference(body=_registered_model, answer=_nothing),
    "/safety/run-shield": Difference(fields={"shield_type": "shield_id"}),
    "/shields/list": Difference(answer=_each(_shield)),
    "/shields/get": Difference(fields={"shield_type": "identifier"}, answer=_or_null(_shield)),
    "/shields/register": Difference(body=_registered_shield, answer=_nothing),
    "/memory-banks/list": Difference(answer=_each(_bank)),
    "/memory-banks/get": Difference(fields={"identifier": "memory_bank_id"}, answer=_or_null(_bank)),
    "/memory-banks/register": Difference(body=_registered_bank, answer=_nothing),
}
SAME = Difference()
"""No difference but the path."""


def october_path(path: str) -> str:
    """The path that a route had."""
    return path.replace("-", "_")


def october_routes(handler: Callable[[Api, Route, Difference], Any]) -> Iterator[web.RouteDef]:
    """A route for every native operation, served by what `handler` makes of its declaration and its difference."""
    for api, protocol in PROTOCOLS.items():
        for route in routes_of(protocol):
            if route.path not in SERVED_BY_OPERATIONS:
                difference = DIFFERENCES.get(route.path, SAME)
                yield web.route(route.verb, october_path(route.path), handler(api, route, difference))


def todays_fields(sent: Json, difference: Difference) -> Json:
    """A body or query of that time as today's; a field that has today's name already keeps its value."""
    renamed = {difference.fields.get(name, name): value for name, value in sent.items()}
    renamed |= {name: value for name, value in sent.items() if name in difference.fields.values()}
    return renamed if difference.body is None else difference.body(sent)


__all__ = ["DIFFERENCES", "SAME", "Difference", "october_path", "october_routes", "todays_fields"]
