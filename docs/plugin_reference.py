"""Writes docs/plugin-reference.md from the sources of what plugins may import; `make docs` runs it, and a test compares."""

import ast
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from hitchpost import api, plugin
from hitchpost.api import Capability, capabilities

PAGE = Path(__file__).with_name("plugin-reference.md")
GUIDE = Path(__file__).with_name("plugins.md")
INTRODUCTION = """# Plugin reference

Everything that contract version 1 consists of, beside the hooks; [plugins.md](plugins.md) is the guide. `python docs/plugin_reference.py` writes this
page from the sources. Names that don't stand here are the host's own and change without notice.
"""
MEANINGS = {
    "ProviderSpec.api": "`inference`, `safety`, `memory`, `agents` or `telemetry`.",
    "ProviderSpec.description": "One line for `hitchpost providers`.",
    "Preset.name": "By which a run config names it.",
    "Preset.api": "What its provider serves.",
    "Preset.provider_id": "The name of its provider.",
    "Preset.provider_type": "A type that a plugin declares.",
    "Preset.config": "What a run config would say under `config`.",
    "Preset.resources": "Models, shields or memory banks to register with it.",
    "CommandSpec.name": "What is typed.",
    "CommandSpec.help": "One line.",
    "Metric.kind": "A counter only grows.",
    "Metric.help": "One sentence.",
    "Metric.value": "The figure.",
    "Metric.labels": "Few and bounded: each set of labels is kept.",
    "ProviderDeps.provider_id": "The name of this provider in the run config.",
    "ProviderDeps.inference": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.models": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.safety": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.shields": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.memory": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.memory_banks": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.agents": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.telemetry": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.batch_inference": "A router, called like a provider with the `context` of the request.",
    "ProviderDeps.log": "Write here: lines carry the provider's name. No prompts, keys or provider data.",
    "CompletionRequest.model_id": "As above.",
    "CompletionRequest.content": "The text to continue, without a chat template.",
    "CompletionRequest.sampling_params": "See `SamplingParams`.",
    "CompletionRequest.response_format": "The form that the answer has.",
    "CompletionRequest.stream": "As above.",
    "CompletionRequest.logprobs": "As above.",
    "ChatCompletionRequest.model_id": "The caller's name; ask the backend for `context.resource.provider_resource_id`.",
    "ChatCompletionRequest.messages": "All of them, of every role; `context` of a user's message belongs to its content.",
    "ChatCompletionRequest.sampling_params": "See `SamplingParams`.",
    "ChatCompletionRequest.tools": "The tools that the model may call.",
    "ChatCompletionRequest.tool_choice": "Where tools are offered: `none` forbids calls; `required` and a name demand one.",
    "ChatCompletionRequest.tool_prompt_format": "Who doesn't write Llama's prompts refuses another than the model's.",
    "ChatCompletionRequest.response_format": "The form that the answer has.",
    "ChatCompletionRequest.stream": "Nothing to heed: the host has chosen the method by it.",
    "ChatCompletionRequest.logprobs": "Each `TextDelta` has the log probabilities of its tokens.",
    "ChatCompletionRequest.parallel_tool_calls": "False: at most one call in an answer. True demands nothing.",
    "EmbeddingsRequest.model_id": "As above.",
    "EmbeddingsRequest.contents": "One vector for each, in their order.",
    "EmbeddingsRequest.dimensions": "That many numbers in each vector, or `UnsupportedError`.",
    "SamplingParams.top_p": "The likeliest tokens that together have this probability.",
    "SamplingParams.temperature": "Here, and where no capability stands: what you can't do and would change the answer is an `UnsupportedError`.",
    "SamplingParams.seed": "The same seed, the same answer.",
    "SamplingParams.presence_penalty": "Added for tokens that were there.",
    "SamplingParams.frequency_penalty": "Added for tokens, by how often they were there.",
    "SamplingParams.max_tokens": "The answer that would be longer ends for the reason `length`.",
    "RunShieldRequest.shield_id": "The caller's name; the shield is `context.resource`, with its `params`.",
    "RunShieldRequest.messages": "What is judged; most shields judge the last one.",
    "RunShieldRequest.params": "Of this one request; yours to read, and to refuse by `BadRequestError`.",
    "InsertDocumentsRequest.bank_id": "The caller's name; the bank is `context.resource`.",
    "InsertDocumentsRequest.documents": "All of them or none; one whose id is there already takes its place.",
    "InsertDocumentsRequest.ttl_seconds": "Or `UnsupportedError`.",
    "MemoryBankDocument.document_id": "By which it is found, replaced and named in answers.",
    "MemoryBankDocument.content": "A text, or a URL. What you don't fetch is an `UnsupportedError`; fetch nothing that a caller must not reach.",
    "MemoryBankDocument.mime_type": "What the content is; absent: find out.",
    "MemoryBankDocument.metadata": "The caller's own.",
    "QueryDocumentsRequest.bank_id": "As above.",
    "QueryDocumentsRequest.query": "What is looked for; in a keyvalue bank the document's id.",
    "QueryDocumentsRequest.params": "See `QueryParams`; further keys are yours.",
    "QueryParams.max_chunks": "At most so many, the best.",
}
"""What is to be said of a field beside its docstring."""


def public_modules() -> list[str]:
    """The modules that the guide lists as public."""
    return re.findall(r"^\| `(hitchpost[\w.]*)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)


def page() -> str:
    """The whole page."""
    parts = (_names(), _functions(), _enumerations(), _declarations(), _base_classes(), _requests(), _answers())
    return "\n".join([INTRODUCTION, *itertools.chain(*parts)])


def _names() -> Iterator[str]:
    yield "## Names\n"
    for module in public_modules():
        exported = importlib.import_module(module).__all__
        listed = textwrap.fill(", ".join(f"`{name}`" for name in exported), 150, break_on_hyphens=False)
        yield f"### `{module}`\n\n{listed}\n"


def _functions() -> Iterator[str]:
    yield "## Functions\n"
    yield "| function | meaning |\n|---|---|"
    for module in public_modules():
        exported = importlib.import_module(module)
        for name in exported.__all__:
            if inspect.isfunction(function := getattr(exported, name)):
                yield f"| `{_signature(function)}` of `{module}` | {_first_paragraph(inspect.getdoc(function) or '')} |"
    yield ""


def _enumerations() -> Iterator[str]:
    yield "## Enumerations\n"
    yield 'Their members are texts: `FinishReason.stop` and `"stop"` are equal.\n'
    yield "| enumeration | members | meaning |\n|---|---|---|"
    for module in public_modules():
        exported = importlib.import_module(module)
        kinds = (getattr(exported, name) for name in exported.__all__)
        for kind in (kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, StrEnum)):
            if kind is Capability:
                continue
            docs = " ".join(f"`{name}`: {doc}" for name, _, _, doc in _own_fields(kind) if doc)
            members = ", ".join(f"`{member.value}`" for member in kind)
            yield f"| `{kind.__name__}` | {members} | {f'{_doc(kind)} {docs}'.strip()} |"
    yield ""


def _declarations() -> Iterator[str]:
    yield "## What a plugin declares\n"
    for kind in (plugin.ProviderSpec, plugin.Preset, plugin.CommandSpec, plugin.Metric):
        yield _fields_table(kind)
    yield "### `Capability`\n"
    yield "| capability | asked for by |\n|---|---|"
    for capability in Capability:
        yield f"| `{capability}` | {_asked_by(capability)} |"
    yield ""


def _base_classes() -> Iterator[str]:
    yield "## What a provider is built on\n"
    yield _fields_table(plugin.ProviderDeps)
    yield _fields_table(api.RequestContext)
    for kind in (
        plugin.Provider,
        plugin.InferenceProvider,
        plugin.SafetyProvider,
        plugin.MemoryProvider,
        plugin.AgentsProvider,
        plugin.TelemetryProvider,
    ):
        methods = [node for node in _class(kind).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        rows = [_method_row(node) for node in methods if not node.name.startswith("_")]
        yield f"### `{kind.__name__}`\n\n{_doc(kind)}\n\n| method | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _requests() -> Iterator[str]:
    yield "## What is asked of a provider\n"
    yield "Fields with a capability reach you only where your type, and the model, declare it. All others are yours to heed, or to refuse.\n"
    for kind in (
        api.ChatCompletionRequest,
        api.CompletionRequest,
        api.EmbeddingsRequest,
        api.SamplingParams,
        api.RunShieldRequest,
        api.InsertDocumentsRequest,
        api.MemoryBankDocument,
        api.QueryDocumentsRequest,
        api.QueryParams,
    ):
        yield _fields_table(kind, is_asked=True)


def _answers() -> Iterator[str]:
    yield "## What a provider answers\n"
    yield _kinds_table(
        "Events of a stream",
        (
            api.TextDelta,
            api.ReasoningDelta,
            api.RefusalDelta,
            api.ToolCallStart,
            api.ToolCallDelta,
            api.Usage,
            api.Finish,
            api.TokenLogprob,
            api.TopLogprob,
        ),
    )
    yield _kinds_table(
        "Whole answers",
        (
            api.ChatCompletionResponse,
            api.ChatChoice,
            api.CompletionResponse,
            api.CompletionChoice,
            api.EmbeddingsResponse,
            api.RunShieldResponse,
            api.SafetyViolation,
            api.QueryDocumentsResponse,
            api.Chunk,
        ),
    )
    yield _kinds_table(
        "Resources",
        (
            api.Resource,
            api.Model,
            api.Shield,
            api.MemoryBank,
            api.VectorMemoryBank,
            api.KeyValueMemoryBank,
            api.KeywordMemoryBank,
            api.GraphMemoryBank,
        ),
    )


# --- tables ---


def _fields_table(kind: type, *, is_asked: bool = False) -> str:
    rows = []
    for name, type_text, default, doc in _fields(kind):
        meaning = f"{doc} {MEANINGS.get(f'{kind.__name__}.{name}', '')}".strip()
        if not meaning:
            raise ValueError(f"write into MEANINGS what {kind.__name__}.{name} is for")
        asked = ", ".join(f"`{capability}`" for capability in _capabilities_of(kind, name))
        rows.append(f"| `{name}` | {_code(type_text)} | {_code(default)} | {meaning} |" + f" {asked} |" * is_asked)
    heading = "| field | type | default | meaning |" + " capability |" * is_asked
    line = "|---|---|---|---|" + "---|" * is_asked
    return "\n".join([f"### `{kind.__name__}`\n\n{_doc(kind)}\n", heading, line, *rows, ""])


def _kinds_table(title: str, kinds: tuple[type, ...]) -> str:
    rows = []
    for kind in kinds:
        base = kind.__base__ if kind.__base__ in kinds else None
        fields = list(_own_fields(kind) if base else _fields(kind))
        listed = ", ".join(
            f"{name}: {text}" + (f" = {default}" if default else "") for name, text, default, _ in fields
        )
        docs = " ".join(f"`{name}`: {doc}" for name, _, _, doc in fields if doc)
        inherited = f"those of `{base.__name__}`, " if base else ""
        rows.append(
            f"| `{kind.__name__}` | {inherited}{_code(listed)} | {' '.join(filter(None, (_doc(kind), docs)))} |"
        )
    return "\n".join([f"### {title}\n\n| class | fields | meaning |\n|---|---|---|", *rows, ""])


def _method_row(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    arguments = ", ".join(argument.arg for argument in node.args.args if argument.arg != "self")
    prefix = "async " * (isinstance(node, ast.AsyncFunctionDef) and not _is_generator(node))
    return f"| `{prefix}{node.name}({arguments})` | {_first_paragraph(ast.get_docstring(node) or '')} |"


def _signature(function: Callable[..., Any]) -> str:
    prefix = "async " * inspect.iscoroutinefunction(function)
    return f"{prefix}{function.__name__}({', '.join(inspect.signature(function).parameters)})"


def _first_paragraph(doc: str) -> str:
    return doc.partition("\n\n")[0].replace("\n", " ")


def _is_generator(node: ast.AST) -> bool:
    return any(isinstance(child, ast.Yield) for child in ast.walk(node))


def _asked_by(capability: Capability) -> str:
    if capability.endswith("_bank"):
        return (
            f"memory banks of the type {capability.removesuffix('_bank')}; refuse the others in `register_memory_bank`"
        )
    kinds = [kind.__name__ for kind in _REQUESTS if kind.needs is capability]
    fields = [name for needed, name in _needs() if needed is capability]
    docs = {name: doc for name, _, _, doc in _fields(Capability) if doc}
    said = [*(f"every `{kind}`" for kind in kinds), *(f"`{name}`" for name in dict.fromkeys(fields))]
    return ". ".join(filter(None, (", ".join(said), docs.get(capability.value, "").rstrip("."))))


_REQUESTS = (api.ChatCompletionRequest, api.CompletionRequest, api.EmbeddingsRequest)


def _capabilities_of(kind: type, name: str) -> list[Capability]:
    asking = (*_REQUESTS, api.SamplingParams)
    return [capability for capability, field in _needs() if field == name] if kind in asking else []


def _needs() -> list[tuple[Capability, str]]:
    """Capabilities, each with a field that asks for it: what `needed_capabilities` appends, in its order."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(capabilities))) if isinstance(node, ast.Call)]
    pairs = [
        call.args[0].elts
        for call in calls
        if ast.unparse(call.func) == "needed.append" and isinstance(call.args[0], ast.Tuple)
    ]
    return [
        (Capability(node.attr), ast.literal_eval(field))
        for asked, field in pairs
        for node in ast.walk(asked)
        if isinstance(node, ast.Attribute)
    ]


# --- reading the sources ---


def _class(kind: type) -> ast.ClassDef:
    tree = ast.parse(inspect.getsource(inspect.getmodule(kind) or kind))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)


def _doc(kind: type) -> str:
    text = (ast.get_docstring(_class(kind)) or "").split("\n\nRaises:")[0].split("\n\nArgs:")[0]
    return " ".join(text.split())


def _fields(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and docstring of every field, those of base classes first."""
    for owner in reversed(kind.__mro__):
        if owner.__module__.startswith("hitchpost.") and owner is not api.WireModel:
            yield from _own_fields(owner)


def _own_fields(kind: type) -> Iterator[tuple[str, str, str, str]]:
    body = _class(kind).body
    for node, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        yield from _field(node, following)


def _field(node: ast.AST, following: ast.AST) -> Iterator[tuple[str, str, str, str]]:
    doc = ""
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        doc = " ".join(str(following.value.value).split())
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
            text = ast.unparse(_Plain().visit(annotation))
            if not text.startswith("ClassVar"):
                yield name, text, _default(value), doc
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
            yield name, type(value).__name__, repr(value), doc


def _default(value: ast.expr | None) -> str:
    match value:
        case None:
            return ""
        case ast.Call(keywords=keywords):
            factory = [ast.unparse(keyword.value) for keyword in keywords if keyword.arg == "default_factory"]
            plain = [ast.unparse(keyword.value) for keyword in keywords if keyword.arg == "default"]
            empty = {"dict": "{}", "list": "[]", "_own_jobs": "a board of its own"}
            return empty.get(factory[0], f"{factory[0]}()") if factory else plain[0] if plain else ast.unparse(value)
        case ast.Lambda():
            return "does nothing"
    return ast.unparse(value)


class _Plain(ast.NodeTransformer):
    """A type without what only pydantic reads."""

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "Annotated" and isinstance(node.slice, ast.Tuple):
            return node.slice.elts[0]
        if isinstance(node.value, ast.Name) and node.value.id == "Items":
            node.value.id = "list"
        return node


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
