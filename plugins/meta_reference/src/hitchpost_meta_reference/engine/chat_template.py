"""A checkpoint's own chat template: from a conversation to the segments of a prompt.

Templates are jinja2 programs that came with a download, so they run in a sandbox without access to anything, and with bounds on size and loops.
What a user wrote must not become a special token though it spells one: such spellings are replaced by private characters before the template runs and
put back, as text, afterwards.
"""

import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hitchpost_meta_reference.engine.errors import ChatTemplateError
from hitchpost_meta_reference.engine.files import read_json

MAX_TEMPLATE_CHARS = 1_000_000
MAX_OUTPUT_CHARS = 16_000_000


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
        self._special_tokens = sorted(special_tokens, key=len, reverse=True)
        self._names = dict(names)
        environment = _environment()
        self._templates: dict[str, jinja2.Template] = {}
        for name, text in source.items():
            if len(text) > MAX_TEMPLATE_CHARS:
                raise ChatTemplateError(
                    f"the checkpoint's chat template has more than {MAX_TEMPLATE_CHARS:,} characters"
                )
            try:
                self._templates[name] = environment.from_string(text)
            except (jinja2.TemplateError, RecursionError) as error:
                raise ChatTemplateError(f"the checkpoint's chat template can't be compiled: {error}") from error
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
            messages: as Hugging Face templates expect them: `role`, `content`, `tool_calls` with arguments as objects.
            tools: as OpenAI's callers write them.
            add_generation_prompt: whether the prompt ends where the assistant begins.

        Raises:
            ChatTemplateError: the template refuses the conversation, fails, or exceeds its bounds.
        """
        template = self._templates.get("tool_use" if tools else "default", self._templates["default"])
        veil = _Veil(self._special_tokens)
        try:
            pieces = []
            size = 0
            for piece in template.generate(
                messages=veil.cover(list(messages)),
                tools=veil.cover(list(tools)) if tools else None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._names,
            ):
                size += len(piece)
                if size > MAX_OUTPUT_CHARS:
                    raise ChatTemplateError(f"the chat template wrote more than {MAX_OUTPUT_CHARS:,} characters")
                pieces.append(piece)
        except ChatTemplateError:
            raise
        except SecurityError as error:
            raise ChatTemplateError("the checkpoint's chat template does what no template may") from error
        except jinja2.TemplateError as error:
            raise ChatTemplateError(f"the chat template refuses this conversation: {error.message or error}") from error
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
            raise ChatTemplateError(f"the chat template failed on this conversation: {type(error).__name__}") from error
        return veil.segments("".join(pieces))


class _Veil:
    """Hides special tokens that request text spells while the template runs. The hiding characters are new for each request."""

    def __init__(self, special_tokens: Sequence[str]) -> None:
        nonce = secrets.token_hex(8)
        self._special_tokens = special_tokens
        self._covers = {token: f"\uf8ff{nonce}x{index}\uf8ff" for index, token in enumerate(special_tokens)}

    def cover(self, value: Any) -> Any:
        """The same value with such spellings replaced in all of its strings."""
        if isinstance(value, str):
            for token, cover in self._covers.items():
                if token in value:
                    value = value.replace(token, cover)
            return value
        if isinstance(value, Mapping):
            return {self.cover(key): self.cover(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.cover(part) for part in value]
        return value

    def segments(self, text: str) -> list[str | SpecialText]:
        """The rendered text cut at the special tokens that the template wrote, with what was hidden put back as text."""
        found: list[str | SpecialText] = []
        for piece, token in _cut(text, self._special_tokens):
            for original, cover in self._covers.items():
                piece = piece.replace(cover, original)
            if piece:
                found.append(piece)
            if token is not None:
                found.append(SpecialText(token))
        return found


def _cut(text: str, tokens: Sequence[str]) -> list[tuple[str, str | None]]:
    if not tokens:
        return [(text, None)]
    parts = re.split("(" + "|".join(re.escape(token) for token in tokens) + ")", text)
    return [(parts[index], parts[index + 1] if index + 1 < len(parts) else None) for index in range(0, len(parts), 2)]


class _GenerationTag(Extension):
    """`{% generation %}`: marks what the assistant says, for training; here it means nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own form

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose loops end."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Repeating and powers are how a short template makes large values."""
        if operator == "**" and (not isinstance(right, (int, float)) or abs(right) > 64):
            raise SecurityError("a power this large")
        size = len(left) if hasattr(left, "__len__") else len(right) if hasattr(right, "__len__") else 0
        times = right if isinstance(right, int) else left if isinstance(left, int) else 1
        if size and size * times > MAX_OUTPUT_CHARS:
            raise SecurityError("a text this large")
        return super().call_binop(context, operator, left, right)


def _environment() -> jinja2.Environment:
    environment = _BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005 - the template's local time
    return environment


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
    if (folder / "chat_template.jinja").is_file():
        return {"default": (folder / "chat_template.jinja").read_text(encoding="utf-8")}
    template = settings.get("chat_template")
    if template is None and (folder / "chat_template.json").is_file():
        template = read_json(folder / "chat_template.json").get("chat_template")
    if template is None:
        return None
    if isinstance(template, str):
        return {"default": template}
    if isinstance(template, list):
        named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
        if isinstance(named.get("default"), str):
            return {str(name): text for name, text in named.items() if isinstance(text, str)}
    raise ChatTemplateError(
        "the checkpoint's chat_template is neither a text nor a list of named templates with a default"
    )


__all__ = ["ChatTemplate", "SpecialText", "load_chat_template"]
