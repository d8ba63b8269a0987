"""The routes of October 2024: the native operations without a prefix, with underscores, and with the bodies and answers of that time.

One table says what differed; what it doesn't name was the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hitchpost.api import PROTOCOLS, Api, Route, routes_of
from hitchpost.host.body import InvalidRequestError

Json = dict[str, Any]

BANK_FIELDS = ("embedding_model", "chunk_size_in_tokens", "overlap_size_in_tokens")
SERVED_BY_OPERATIONS = ("/health",)
"""Routes that `hitchpost.host.operations` answers, in the same words."""


# --- bodies ---

REGISTERED_MODEL = {"identifier": "model_id", "metadata": "metadata", "llama_model": "metadata.llama_model"}
REGISTERED_SHIELD = {"identifier": "shield_id"}
REGISTERED_BANK = {
    "identifier": "memory_bank_id",
    "type": "params.memory_bank_type",
    **{name: f"params.{name}" for name in BANK_FIELDS},
}

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
    """Names of that time, in body or query, to today's; `params.x` is the field `x` of the object `params`."""
    envelope: str = ""
    """The field of the body that held all others."""
    answer: Callable[[Any], Any] | None = None
    """Makes that time's answer, whole and as JSON values, of today's."""


DIFFERENCES: dict[str, Difference] = {
    "/inference/completion": Difference(fields={"model": "model_id"}, answer=_completion),
    "/inference/chat-completion": Difference(fields={"model": "model_id"}),
    "/inference/embeddings": Difference(fields={"model": "model_id"}),
    "/models/list": Difference(answer=_each(_model)),
    "/models/get": Difference(answer=_or_null(_model)),
    "/models/register": Difference(REGISTERED_MODEL, envelope="model", answer=_nothing),
    "/safety/run-shield": Difference(fields={"shield_type": "shield_id"}),
    "/shields/list": Difference(answer=_each(_shield)),
    "/shields/get": Difference(fields={"shield_type": "identifier"}, answer=_or_null(_shield)),
    "/shields/register": Difference(REGISTERED_SHIELD, envelope="shield", answer=_nothing),
    "/memory-banks/list": Difference(answer=_each(_bank)),
    "/memory-banks/get": Difference(fields={"identifier": "memory_bank_id"}, answer=_or_null(_bank)),
    "/memory-banks/register": Difference(REGISTERED_BANK, envelope="memory_bank", answer=_nothing),
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
    """A body or query of that time as today's; a field that has today's name already keeps its value.

    Raises:
        InvalidRequestError: there is no object where there was one that held all fields.
    """
    if difference.envelope:
        sent = _opened(sent, difference.envelope)
    today: Json = {}
    for name, value in sent.items():
        group, _, inner = difference.fields.get(name, name).rpartition(".")
        if not group:
            today.setdefault(inner, value)
    today |= {name: value for name, value in sent.items() if name in difference.fields.values()}
    for name, value in sent.items():
        group, _, inner = difference.fields.get(name, name).rpartition(".")
        if group and isinstance(today.get(group) or {}, dict):
            today[group] = {**(today.get(group) or {}), inner: value}
    return today


def _opened(body: Json, envelope: str) -> Json:
    held = body.get(envelope)
    if not isinstance(held, dict):
        kind, words = ("dict_type", "must be an object") if envelope in body else ("missing", "is missing")
        problem = {"loc": ["body", envelope], "msg": words, "type": kind}
        raise InvalidRequestError([problem], f"{envelope} {words}", envelope)
    # Objects of that time wrote what they had not as an empty text.
    return {name: value for name, value in held.items() if value != ""}


def error_of_then(error: InvalidRequestError, difference: Difference) -> InvalidRequestError:
    """The error with the names that the caller wrote."""
    problems = [{**problem, "loc": _loc_of_then(problem["loc"], difference)} for problem in error.problems]
    return InvalidRequestError(problems, error.message, error.param)


def _loc_of_then(loc: Sequence[int | str], difference: Difference) -> list[int | str]:
    place, *steps = loc
    if not steps or steps[0] == difference.envelope:
        return list(loc)
    before: list[int | str] = [place, difference.envelope] if difference.envelope else [place]
    for name, today in difference.fields.items():
        group, _, inner = today.rpartition(".")
        # Between the two stands the tag of a union.
        if steps[0] == (group or inner) and inner in steps:
            return [*before, name, *steps[steps.index(inner) + 1 :]]
    is_group = any(today.startswith(f"{steps[0]}.") for today in difference.fields.values())
    return before if is_group else [*before, *steps]


__all__ = ["DIFFERENCES", "SAME", "Difference", "error_of_then", "october_path", "october_routes", "todays_fields"]
