"""A checkpoint's own chat template: from a conversation to the segments of a prompt.

Templates are jinja2 programs that came with a download, so they run in a bounded sandbox (`template_sandbox`).

What a user wrote must not become a special token, though it spells one, or parts of one that the template puts together. So it is the template's own
literals that are marked: a special token that stands in its text or in a constant, and those it knows by name, such as `bos_token`, become marks
that nobody can guess, and only marks become special tokens afterwards. What the request says goes through the template as it is.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.visitor import NodeTransformer

from hitchpost_meta_reference.engine.errors import ChatTemplateError
from hitchpost_meta_reference.engine.files import own_file, read_json
from hitchpost_meta_reference.engine.template_sandbox import BoundedEnvironment

MAX_TEMPLATE_CHARS = 1_000_000

_WRITING_ARGUMENTS = frozenset({"default", "d", "join", "format", "get"})
"""Filters and methods whose arguments are written. Those of others are looked for in a text, and a mark would never be found there."""

_FAILURES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
"""What an expression of a template can raise that jinja2 lets through."""


@dataclass(frozen=True, slots=True)
class SpecialText:
    """A special token of a rendered prompt, by its spelling."""

    token: str


class ChatTemplate:
    """A compiled chat template.

    Args:
        source: the template for conversations, and the one for conversations with tools, where there is one of its own.
        special_tokens: spellings that mean a special token where the template itself writes them.
        names: what templates know by name: `bos_token`, `eos_token` and the like.

    Raises:
        ChatTemplateError: the template is too large or no jinja2.
    """

    def __init__(self, source: Mapping[str, str], special_tokens: Collection[str], names: Mapping[str, str]) -> None:
        self._marks = _Marks(special_tokens)
        self._names = {name: self._marks.put(spelling) for name, spelling in names.items()}
        self._environment = _environment()
        self._templates = {name: self._compile(text) for name, text in source.items()}
        self.knows_tools = "tools" in "".join(source.values())

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[str | SpecialText]:
        """The prompt of a conversation.

        Args:
            messages: as Hugging Face templates expect them: `role`, `content`, `tool_calls` with arguments as objects. What is None counts as absent.
            tools: as OpenAI's callers write them.
            add_generation_prompt: whether the prompt ends where the assistant begins.

        Raises:
            ChatTemplateError: the template refuses the conversation, fails, or exceeds its bounds.
        """
        template = self._templates.get("tool_use" if tools else "default", self._templates["default"])
        variables = self._names | {
            "messages": [{key: part for key, part in one.items() if part is not None} for one in messages],
            "tools": list(tools) if tools else None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            return list(self._marks.segments(self._environment.render(template, variables)))
        except SecurityError as error:
            raise ChatTemplateError(f"the checkpoint's chat template does what no template may: {error}") from error
        except jinja2.TemplateError as error:
            reason = self._marks.spell(str(error.message or error))
            raise ChatTemplateError(f"the chat template refuses this conversation: {reason:.500}") from error
        except _FAILURES as error:
            raise ChatTemplateError(f"the chat template failed on this conversation: {type(error).__name__}") from error

    def _compile(self, source: str) -> jinja2.Template:
        if len(source) > MAX_TEMPLATE_CHARS:
            raise ChatTemplateError(f"the checkpoint's chat template has more than {MAX_TEMPLATE_CHARS:,} characters")
        try:
            return self._environment.template_of(self._marks.visit(self._environment.parse(source)))
        except jinja2.TemplateError as error:
            reason = self._marks.spell(str(error.message or error))
            raise ChatTemplateError(f"the checkpoint's chat template can't be compiled: {reason:.500}") from error
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ChatTemplateError("the checkpoint's chat template is nested too deeply to be compiled") from error


class _Marks(NodeTransformer):
    """Puts marks in the place of special tokens that a template writes, and tells them from text afterwards."""

    def __init__(self, special_tokens: Collection[str]) -> None:
        self._tokens = sorted(filter(None, special_tokens), key=len, reverse=True)
        # Digits only, so that changes of case and escapes for JSON or HTML leave a mark as it is.
        self._nonce = str(secrets.randbits(128))
        self._marks = {token: f"[{self._nonce}:{index}]" for index, token in enumerate(self._tokens)}
        self._spelled = re.compile("|".join(map(re.escape, self._tokens)) or r"(?!)")
        self._mark = re.compile(rf"\[{self._nonce}:(\d+)\]")

    def put(self, text: str) -> str:
        """The text with a mark in the place of each special token that it spells."""
        return self._spelled.sub(lambda found: self._marks[found[0]], text)

    def spell(self, text: str) -> str:
        """The text with special tokens in the place of marks."""
        return self._mark.sub(lambda found: self._tokens[int(found[1])], text)

    def segments(self, text: str) -> Iterator[str | SpecialText]:
        """The text between the marks, and special tokens in their place."""
        for index, part in enumerate(self._mark.split(text)):
            if index % 2:
                yield SpecialText(self._tokens[int(part)])
            elif part:
                yield part

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Marks what the node writes; what it only compares or looks for stays as it is."""
        match node:
            case nodes.TemplateData():
                node.data = self.put(node.data)
            case nodes.Const(value=str(text)):
                node.value = self.put(text)
            case nodes.Compare() | nodes.Test():
                pass
            case nodes.Getitem():
                node.node = self.visit(node.node)
            case nodes.Filter(name=name) if name not in _WRITING_ARGUMENTS:
                node.node = node.node and self.visit(node.node)
            case nodes.Call(node=nodes.Getattr(attr=name)) if name not in _WRITING_ARGUMENTS:
                node.node = self.visit(node.node)
            case _:
                self.generic_visit(node)
        return node


class _GenerationTag(Extension):
    """`{% generation %}`: marks what the assistant says, for training; here it means nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own form

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        # What is set within stays within, as everywhere that this tag is known.
        return nodes.Scope(body).set_lineno(line)


def _environment() -> BoundedEnvironment:
    return BoundedEnvironment(
        filters={"tojson": _to_json},
        functions={
            "raise_exception": _raise_exception,
            "strftime_now": lambda form: datetime.now().strftime(form),  # noqa: DTZ005 - the template's local time
        },
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[loopcontrols, _GenerationTag],
    )


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    # Not jinja2's own filter: that one escapes for HTML.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def load_chat_template(folder: Path, special_tokens: Collection[str]) -> ChatTemplate | None:
    """The chat template of a Hugging Face checkpoint, or None where it has none.

    Raises:
        ChatTemplateError: it is there, but no template.
    """
    settings = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    source = _source(folder, settings)
    if source is None:
        return None
    names = {}
    for key, value in settings.items():
        spelling = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(spelling, str):
            names[key] = spelling
    return ChatTemplate(source, special_tokens, names)


def _source(folder: Path, settings: Mapping[str, Any]) -> dict[str, str] | None:
    """Templates by name, where transformers looks for them: in files of their own, else in the settings."""
    if (folder / "chat_template.jinja").is_file():
        more = sorted(folder.glob("additional_chat_templates/*.jinja"))
        return {"default": _read(folder / "chat_template.jinja")} | {file.stem: _read(file) for file in more}
    template = settings.get("chat_template")
    if template is None and (folder / "chat_template.json").is_file():
        template = read_json(folder / "chat_template.json").get("chat_template")
    if template is None:
        return None
    if isinstance(template, list):
        template = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
    if isinstance(template, str):
        return {"default": template}
    if isinstance(template, dict) and isinstance(template.get("default"), str):
        return {str(name): text for name, text in template.items() if isinstance(text, str)}
    raise ChatTemplateError(
        "the checkpoint's chat_template is neither a text nor a list of named templates with a default"
    )


def _read(file: Path) -> str:
    with own_file(file).open("rb") as content:
        source = content.read(4 * MAX_TEMPLATE_CHARS + 1)
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        raise ChatTemplateError(f"{file.name} isn't UTF-8") from error


__all__ = ["ChatTemplate", "SpecialText", "load_chat_template"]
