"""Checks of answers in a demanded form."""

import json
from typing import Any

from hitchpost.api import Capability
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": {"type": "integer"}, "is_human": {"type": "boolean"}},
    "required": ["name", "born", "is_human"],
    "additionalProperties": False,
}


class FormatChecks(InferenceSubject):
    """A form that was demanded is kept, streamed or not."""

    @check(
        "json.schema",
        why="programs read such answers without a look at them",
        advice="pass the schema to the backend's constrained decoding, or take `json_schema` out of the capabilities",
        needs=(Capability.chat, Capability.json_schema),
    )
    async def test_answer_satisfies_the_schema(self, harness: Harness) -> None:
        """An answer with a `json_schema` is one JSON object with the fields and types of the schema."""
        value = await self._json(harness, {"type": "json_schema", "json_schema": SCHEMA})
        kinds = {"name": str, "born": int, "is_human": bool}
        if set(value) != set(kinds) or any(type(value[name]) is not kind for name, kind in kinds.items()):
            raise CheckFailed(f"{value!r} does not satisfy the schema {SCHEMA['properties']}")

    @check(
        "json.object",
        why="programs parse such answers without a look at them",
        advice="pass json_object to the backend's JSON mode, or constrain it by the schema {'type': 'object'}",
        needs=(Capability.chat, Capability.json_schema),
    )
    async def test_answer_is_a_json_object(self, harness: Harness) -> None:
        """An answer with the format `json_object` is one JSON object."""
        await self._json(harness, {"type": "json_object"})

    async def _json(self, harness: Harness, response_format: dict[str, Any]) -> dict[str, Any]:
        sampling = {"max_tokens": max(self.max_tokens, 256)}
        request = self.chat(self.json_prompt, response_format=response_format, sampling_params=sampling)
        [choice] = (await self.whole(harness, request)).choices
        try:
            value = json.loads(choice.text)
        except ValueError as error:
            raise CheckFailed(f"the answer {choice.text[:200]!r} is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise CheckFailed(f"the answer {choice.text[:200]!r} is no JSON object")
        return value


__all__ = ["FormatChecks"]
