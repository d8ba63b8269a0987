"""What the fake refuses, in the real server's order and words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_STOP_SEQUENCES = 4
MAX_TOP_N_TOKENS = 5
MAX_BEST_OF = 2
PIECE = 1024


class Refused(Exception):
    """An error of the server: status, `error_type` (None: the body is plain text) and words."""

    def __init__(self, status: int, error_type: str | None, text: str) -> None:
        super().__init__(text)
        self.status, self.error_type, self.text = status, error_type, text


def invalid(text: str) -> Refused:
    """A failed validation."""
    return Refused(422, "validation", f"Input validation error: {text}")


def mistyped(where: str, what: str) -> Refused:
    """A field of the wrong JSON type."""
    return Refused(422, None, f"Failed to deserialize the JSON body into the target type: {where}: {what}")


_TYPES: dict[str, tuple[type, ...]] = {
    "best_of": (int,),
    "temperature": (int, float),
    "repetition_penalty": (int, float),
    "frequency_penalty": (int, float),
    "top_k": (int,),
    "top_p": (int, float),
    "typical_p": (int, float),
    "max_new_tokens": (int,),
    "truncate": (int,),
    "seed": (int,),
    "top_n_tokens": (int,),
    "grammar": (dict,),
}
_NOT_NULL: dict[str, type] = {
    "do_sample": bool,
    "watermark": bool,
    "details": bool,
    "decoder_input_details": bool,
    "stop": list,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one server. `refuses_long_limits`: as before 3.0, when prompt and limit together had to fit."""

    max_input_tokens: int = 4095
    max_total_tokens: int = 4096
    refuses_long_limits: bool = False


def check_types(parameters: Mapping[str, Any]) -> None:
    """Raises Refused for a parameter of the wrong type."""
    for name, kinds in _TYPES.items():
        value = parameters.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise mistyped(f"parameters.{name}", f"invalid type: {json.dumps(value)}, expected {kinds[-1].__name__}")
    for name, kind in _NOT_NULL.items():
        if name in parameters and not isinstance(parameters[name], kind):
            raise mistyped(f"parameters.{name}", f"invalid type: {json.dumps(parameters[name])}")
    for name in ("seed", "best_of", "top_n_tokens", "max_new_tokens", "truncate"):
        if (parameters.get(name) or 0) < 0:
            raise mistyped(f"parameters.{name}", f"invalid value: integer `{parameters[name]}`")
    for name, bits in (("seed", 64), ("max_new_tokens", 32)):
        if (parameters.get(name) or 0) >= 2**bits:
            raise mistyped(f"parameters.{name}", f"invalid value: integer `{parameters[name]}`, expected u{bits}")
    grammar = parameters.get("grammar")
    if grammar is not None:
        check_grammar_type(grammar, "parameters.grammar")


def check_grammar_type(grammar: Any, where: str) -> None:
    """Raises Refused unless it is one of the forms of a grammar."""
    if not isinstance(grammar, dict) or grammar.get("type") not in ("json", "json_object", "json_schema", "regex"):
        raise mistyped(where, "unknown variant")
    if "value" not in grammar:
        raise mistyped(where, "missing field `value`")


def check_parameters(
    inputs: str, parameters: Mapping[str, Any], prompt_tokens: int, limits: Limits, *, stream: bool
) -> int:
    """How many tokens may be generated.

    Raises:
        Refused: the first rule that is broken.
    """
    best_of = parameters.get("best_of") or 1
    is_sampled = bool(parameters.get("do_sample")) or any(
        parameters.get(name) is not None for name in ("temperature", "top_k", "top_p", "typical_p")
    )
    top_p, typical_p = parameters.get("top_p"), parameters.get("typical_p")
    rules = (
        (best_of > 1 and not is_sampled, "you must use sampling when `best_of` is > 1"),
        (best_of > 1 and stream, "`best_of` != 1 is not supported when streaming tokens"),
        (best_of > MAX_BEST_OF, f"`best_of` must be > 0 and <= {MAX_BEST_OF}. Given: {best_of}"),
        (_at_most(parameters, "temperature", 0), "`temperature` must be strictly positive"),
        (_at_most(parameters, "repetition_penalty", 0), "`repetition_penalty` must be strictly positive"),
        (abs(parameters.get("frequency_penalty") or 0) > 2, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        (top_p is not None and not 0 < top_p < 1, "`top_p` must be > 0.0 and < 1.0"),
        (typical_p is not None and not 0 < typical_p < 1, "`typical_p` must be > 0.0 and < 1.0"),
        (_at_most(parameters, "top_k", 0), "`top_k` must be strictly positive"),
        (parameters.get("max_new_tokens") == 0, "`max_new_tokens` must be strictly positive"),
        (
            len(parameters.get("stop", ())) > MAX_STOP_SEQUENCES,
            f"`stop` supports up to {MAX_STOP_SEQUENCES} stop sequences. Given: {len(parameters.get('stop', ()))}",
        ),
        (best_of > 1 and parameters.get("seed") is not None, "`seed` must not be set when `best_of` > 1"),
        (
            (parameters.get("top_n_tokens") or 0) > MAX_TOP_N_TOKENS,
            f"`top_n_tokens` must be >= 0 and <= {MAX_TOP_N_TOKENS}. Given: {parameters.get('top_n_tokens')}",
        ),
        (not inputs, "`inputs` cannot be empty"),
    )
    for is_broken, text in rules:
        if is_broken:
            raise invalid(text)
    limit = _check_lengths(prompt_tokens, parameters.get("max_new_tokens"), limits)
    _check_grammar(parameters.get("grammar"))
    return limit


def _at_most(parameters: Mapping[str, Any], name: str, bound: float) -> bool:
    value = parameters.get(name)
    return value is not None and value <= bound


def _check_lengths(prompt_tokens: int, asked: int | None, limits: Limits) -> int:
    rest = limits.max_total_tokens - prompt_tokens
    if limits.refuses_long_limits:
        wanted = 100 if asked is None else asked
        counted = wanted
    else:
        wanted = max(rest, 0) if asked is None else asked
        counted = min(wanted, PIECE)
    if prompt_tokens + counted > limits.max_total_tokens:
        raise invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {prompt_tokens} `inputs` tokens and {counted} `max_new_tokens`"
        )
    if prompt_tokens > limits.max_input_tokens:
        raise invalid(f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {prompt_tokens}")
    return min(wanted, rest)


def _check_grammar(grammar: Mapping[str, Any] | None) -> None:
    if grammar is None:
        return
    value = grammar["value"]
    if grammar["type"] == "regex":
        try:
            re.compile(value)
        except re.error as error:
            raise invalid(f"grammar is not valid: {error}") from error
        return
    schema = json.loads(value) if isinstance(value, str) else value
    schema = schema.get("schema") if grammar["type"] == "json_schema" else schema
    if not isinstance(schema, dict) or "properties" not in schema:
        raise invalid("grammar is not valid: Grammar must have a 'properties' field")
