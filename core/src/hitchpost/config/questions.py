"""Asking for what a pydantic model holds, field by field, as raw values of a run config: placeholders stay placeholders.

| kind of field | what is asked |
|---|---|
| fixed literal | nothing |
| model without fields | nothing |
| enumeration, several literals | one of the names, until it is one |
| one of several models, told apart by a tag | the tag, then the fields of that model |
| the same or a model, optional | first whether to configure it |
| model | its fields |
| scalar | the value; empty: the existing one, else the default, else null where it is optional |
| secret | the environment variable that holds it: no secret goes into the file |
| list, mapping and what else has structure | JSON |

`none` is null for what is optional. A wrong value is asked again, with what is wrong.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, Protocol, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from hitchpost.config.field_kinds import is_optional, members_of, tag_of
from hitchpost.config.load import validation_problems
from hitchpost.config.placeholders import fill_placeholders
from hitchpost.config.secrets import is_secret_name, masked

ABSENT = object()
"""The value of a field that isn't written: its default stands."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_PLACEHOLDER = re.compile(r"\$\{env\.[A-Z0-9_]+(:[^}]*)?\}")


class Person(Protocol):
    """Whoever answers, at a keyboard or by a script."""

    def ask(self, question: str) -> str:
        """One line, without spaces at its ends.

        Raises:
            EOFError: there are no more.
        """

    def tell(self, text: str) -> None:
        """Show a line."""


class Questions:
    """Asks a person for models.

    Args:
        environ: fills placeholders for the check of a value; a variable that isn't set leaves its value unchecked.
    """

    def __init__(self, person: Person, environ: Mapping[str, str]) -> None:
        self._person = person
        self._environ = environ

    def confirm(self, question: str, *, default: bool) -> bool:
        """A question that is answered by y or n."""
        while True:
            answer = self._person.ask(f"{question} (y/n) [{'y' if default else 'n'}]: ").lower()
            if answer in ("", "y", "yes", "n", "no"):
                return default if not answer else answer.startswith("y")
            self._person.tell("Answer y or n.")

    def choose(self, question: str, names: list[str], default: str | None = None) -> str:
        """One of several names, or its number."""
        for number, name in enumerate(names, start=1):
            self._person.tell(f"  {number}  {name}")
        hint = f" [{default}]" if default else ""
        while True:
            answer = self._person.ask(f"{question}{hint}: ") or default or ""
            if answer in names:
                return answer
            if answer.isdecimal() and 1 <= int(answer) <= len(names):
                return names[int(answer) - 1]
            self._person.tell(f"That is none of {', '.join(names)}.")

    def ask_model(self, model: type[BaseModel], existing: Mapping[Any, Any], path: str = "") -> dict[Any, Any]:
        """The fields of a model, until they fit together; what is in `existing` under other keys is kept.

        Args:
            existing: the raw values so far.
            path: what the names of fields are shown below.
        """
        answers = dict(existing)
        while True:
            for name, field in model.model_fields.items():
                key = _key_of(model, name, field)
                value = self._ask_field(model, key, field, answers.get(key, ABSENT), f"{path}{key}")
                if value is ABSENT:
                    answers.pop(key, None)
                else:
                    answers[key] = value
            problems = self._problems(model, answers)
            for problem in problems:
                self._person.tell(f"That does not fit together: {problem}")
            # Keys that nothing was asked about are the person's own to take out.
            if all(problem.endswith(": unknown key") for problem in problems):
                return answers

    def _ask_field(self, model: type[BaseModel], key: str, field: FieldInfo, existing: Any, path: str) -> Any:
        members = members_of(field.annotation)
        tag = tag_of(members)
        if tag is not None or (len(members) == 1 and _is_model(members[0])):
            return self._ask_nested(members, tag, field, existing, path)
        if len(members) == 1 and get_origin(members[0]) is Literal and len(get_args(members[0])) == 1:
            return get_args(members[0])[0] if field.is_required() else existing
        if field.description:
            self._person.tell(f"  {' '.join(field.description.split())}")
        while True:
            if any(member in (SecretStr, SecretBytes) for member in members) or (
                str in members and is_secret_name(key)
            ):
                value = self._ask_secret(field, existing, path)
            else:
                value = self._ask_value(members, field, existing, path)
            problems = [] if value is ABSENT else self._problems(model, {key: value}, only=key)
            if not problems:
                return value
            for problem in problems:
                self._person.tell(f"That can't be: {problem}")

    def _ask_nested(self, members: list[Any], tag: str | None, field: FieldInfo, existing: Any, path: str) -> Any:
        given = existing if isinstance(existing, dict) else {}
        if is_optional(field.annotation) and not self.confirm(f"Configure {path}?", default=bool(given)):
            return ABSENT if field.get_default(call_default_factory=True) is None else None
        model = members[0]
        if tag is not None:
            by_tag = {get_args(member.model_fields[tag].annotation)[0]: member for member in members}
            default = given.get(tag) or _default_tag(field, tag)
            chosen = self.choose(f"{path}.{tag}", list(by_tag), default if default in by_tag else None)
            model = by_tag[chosen]
            kept = given if given.get(tag, default) == chosen else {}
            return {tag: chosen, **self.ask_model(model, {**kept, tag: chosen}, f"{path}.")}
        answers = self.ask_model(model, given, f"{path}.") if model.model_fields else dict(given)
        stands_by_itself = not (
            answers or field.is_required() or is_optional(field.annotation) or existing is not ABSENT
        )
        return ABSENT if stands_by_itself else answers

    def _ask_value(self, members: list[Any], field: FieldInfo, existing: Any, path: str) -> Any:
        names = _names_of(members)
        question = f"{path}, one of {', '.join(names)}" if names else path
        question += f"{'' if _is_scalar(members) else ', as JSON'}{_hint(field, existing)}: "
        while True:
            answer = self._person.ask(question)
            if not answer:
                if existing is not ABSENT:
                    return existing
                if not field.is_required():
                    return ABSENT
                if is_optional(field.annotation):
                    return None
                self._person.tell("A value is needed.")
            elif answer == "none" and is_optional(field.annotation):
                return None
            elif names and answer not in names and not _PLACEHOLDER.search(answer):
                self._person.tell(f"That is none of {', '.join(names)}.")
            elif names:
                return names.get(answer, answer)
            else:
                value = _value_of(answer, members)
                if value is not ABSENT:
                    if masked(value) != value:
                        self._person.tell(
                            "A password in an address goes into the file as it is; ${env.NAME} would not."
                        )
                    return value
                self._person.tell("That is no JSON.")

    def _ask_secret(self, field: FieldInfo, existing: Any, path: str) -> Any:
        has_literal = existing not in (ABSENT, None) and not _PLACEHOLDER.search(str(existing))
        hint = "the secret that is in the file" if has_literal else existing
        question = f"{path}: environment variable that holds it{_hint(field, hint)}: "
        while True:
            answer = self._person.ask(question)
            placeholder = _PLACEHOLDER.fullmatch(answer)
            if not answer and existing is not ABSENT:
                return existing
            if answer == "none" and is_optional(field.annotation):
                return None
            if not answer and not field.is_required():
                return ABSENT
            if placeholder or _VARIABLE.fullmatch(answer):
                return answer if placeholder else f"${{env.{answer}}}"
            self._person.tell(
                "That is no name of an environment variable (capitals, digits, underscore), and was not written: "
                "secrets do not go into the file."
            )

    def _problems(self, model: type[BaseModel], answers: Mapping[Any, Any], only: str | None = None) -> list[str]:
        """What is wrong with the answers, or with one of them alone; nothing where a variable isn't set."""
        unset: list[str] = []
        filled = fill_placeholders(dict(answers), self._environ, unset)
        if unset:
            return []
        try:
            model.model_validate(filled)
        except ValidationError as error:
            problems = validation_problems(error, data=filled)
            if only is None:
                return problems
            return [problem for problem in problems if problem.startswith((f"{only}:", f"{only}.", f"{only}["))]
        except Exception as error:  # noqa: BLE001 - a check of the provider type's own; told, and found again by the check of the file
            if only is None:
                self._person.tell(f"The check of {model.__name__} failed with {type(error).__name__}.")
        return []


def _key_of(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
    return name if alias is None or model.model_config.get("populate_by_name") else alias


def _is_model(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel)


def _default_tag(field: FieldInfo, tag: str) -> Any:
    return getattr(field.get_default(call_default_factory=True), tag, None)


def _names_of(members: list[Any]) -> dict[str, Any]:
    """What may be answered where the choices are fixed, and the value that each stands for."""
    if len(members) != 1:
        return {}
    if isinstance(members[0], type) and issubclass(members[0], Enum):
        return {member.name: member.value for member in members[0]}
    return {str(value): value for value in get_args(members[0])} if get_origin(members[0]) is Literal else {}


def _is_scalar(members: list[Any]) -> bool:
    return not any(
        get_origin(member) in (list, dict, tuple, set, frozenset)
        or member in (list, dict, tuple, set)
        or _is_model(member)
        for member in members
    )


def _value_of(answer: str, members: list[Any]) -> Any:
    """An answer as what stands in YAML; ABSENT where it isn't JSON and must be."""
    is_scalar = _is_scalar(members)
    if is_scalar and (str in members or _PLACEHOLDER.search(answer)):
        return answer
    try:
        value = json.loads(answer)
    except ValueError:
        return answer if is_scalar or str in members else ABSENT
    return answer if is_scalar and isinstance(value, dict | list | str | None) else value


def _hint(field: FieldInfo, existing: Any) -> str:
    optional = ", optional" if is_optional(field.annotation) else ""
    if existing is ABSENT and field.is_required():
        return f" (required{optional})"
    value = field.get_default(call_default_factory=True) if existing is ABSENT else existing
    if isinstance(value, Enum):
        value = value.name
    if isinstance(value, SecretStr | SecretBytes):
        value = "a default that is not shown"
    shown = "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return f" ({optional.removeprefix(', ')}) [{shown}]" if optional else f" [{shown}]"


__all__ = ["ABSENT", "Person", "Questions"]
