"""The Llama models that Hitchpost knows: their names with every provider, context lengths and families."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from types import MappingProxyType

from hitchpost.api import ToolPromptFormat


class LlamaFamily(StrEnum):
    """Models that share one prompt format."""

    llama2 = "llama2"
    llama3 = "llama3"
    llama3_1 = "llama3_1"
    llama3_2_text = "llama3_2_text"
    llama3_2_vision = "llama3_2_vision"
    guard = "guard"
    prompt_guard = "prompt_guard"

    @property
    def tool_prompt_formats(self) -> tuple[ToolPromptFormat, ...]:
        """The formats for custom tools that the family understands, its own first; empty where it knows no tools."""
        return _TOOL_PROMPT_FORMATS.get(self, ())


_TOOL_PROMPT_FORMATS = {
    LlamaFamily.llama3_1: (ToolPromptFormat.json, ToolPromptFormat.function_tag),
    LlamaFamily.llama3_2_vision: (ToolPromptFormat.json, ToolPromptFormat.function_tag),
    LlamaFamily.llama3_2_text: (ToolPromptFormat.python_list,),
}


@dataclass(frozen=True, slots=True)
class LlamaModel:
    """One model. `context_length` is in tokens; `aliases` are names that providers and repositories use for it."""

    descriptor: str
    repo: str
    context_length: int
    family: LlamaFamily
    is_supported: bool = True
    """Whether llama-stack 0.0.53 offered it for inference."""
    aliases: tuple[str, ...] = ()


def find_llama_model(name: str) -> LlamaModel | None:
    """The model with this descriptor, repository id or alias, spelled exactly; of models that share a repository the first."""
    return _BY_NAME.get(name)


_4K, _8K, _128K = 4096, 8192, 131_072

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "Llama3.1-8B": ("meta-llama/Meta-Llama-3.1-8B",),
    "Llama3.1-70B": ("meta-llama/Meta-Llama-3.1-70B",),
    "Llama3.1-405B": ("meta-llama/Meta-Llama-3.1-405B-FP8",),
    "Llama3.1-8B-Instruct": (
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        "llama3.1:8b-instruct-fp16",
        "llama3.1:8b",
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
        "fireworks/llama-v3p1-8b-instruct",
        "meta.llama3-1-8b-instruct-v1:0",
    ),
    "Llama3.1-70B-Instruct": (
        "meta-llama/Meta-Llama-3.1-70B-Instruct",
        "llama3.1:70b-instruct-fp16",
        "llama3.1:70b",
        "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo",
        "fireworks/llama-v3p1-70b-instruct",
        "meta.llama3-1-70b-instruct-v1:0",
        "databricks-meta-llama-3-1-70b-instruct",
    ),
    "Llama3.1-405B-Instruct": (
        "meta-llama/Meta-Llama-3.1-405B-Instruct-FP8",
        "meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo",
        "fireworks/llama-v3p1-405b-instruct",
        "meta.llama3-1-405b-instruct-v1:0",
        "databricks-meta-llama-3-1-405b-instruct",
    ),
    "Llama3.2-1B-Instruct": ("llama3.2:1b-instruct-fp16", "llama3.2:1b", "fireworks/llama-v3p2-1b-instruct"),
    "Llama3.2-3B-Instruct": (
        "llama3.2:3b-instruct-fp16",
        "llama3.2:3b",
        "meta-llama/Llama-3.2-3B-Instruct-Turbo",
        "fireworks/llama-v3p2-3b-instruct",
    ),
    "Llama3.2-11B-Vision-Instruct": (
        "llama3.2-vision:11b-instruct-fp16",
        "llama3.2-vision",
        "meta-llama/Llama-3.2-11B-Vision-Instruct-Turbo",
        "fireworks/llama-v3p2-11b-vision-instruct",
    ),
    "Llama3.2-90B-Vision-Instruct": (
        "meta-llama/Llama-3.2-90B-Vision-Instruct-Turbo",
        "fireworks/llama-v3p2-90b-vision-instruct",
    ),
    "Llama-Guard-3-8B": ("llama-guard3:8b", "meta-llama/Meta-Llama-Guard-3-8B", "fireworks/llama-guard-3-8b"),
    "Llama-Guard-3-1B": ("llama-guard3:1b",),
    "Llama-Guard-3-11B-Vision": (
        "meta-llama/Llama-Guard-3-11B-Vision-Turbo",
        "fireworks/llama-guard-3-11b-vision",
    ),
    "Llama-Guard-2-8B": ("meta-llama/Meta-Llama-Guard-2-8B",),
    "Llama-3-8B": ("meta-llama/Meta-Llama-3-8B",),
    "Llama-3-70B": ("meta-llama/Meta-Llama-3-70B",),
    "Llama-3-8B-Instruct": ("meta-llama/Meta-Llama-3-8B-Instruct",),
    "Llama-3-70B-Instruct": ("meta-llama/Meta-Llama-3-70B-Instruct",),
}


def _model(
    descriptor: str, repo: str, context_length: int, family: LlamaFamily, *, is_supported: bool = True
) -> LlamaModel:
    aliases = _ALIASES.get(descriptor, ())
    return LlamaModel(descriptor, f"meta-llama/{repo}", context_length, family, is_supported, aliases)


def _llama3_1() -> Iterator[LlamaModel]:
    for size in ("8B", "70B", "405B"):
        for form in ("", "-Instruct"):
            descriptor, repo = f"Llama3.1-{size}{form}", f"Llama-3.1-{size}{form}"
            if size != "405B":
                yield _model(descriptor, repo, _128K, LlamaFamily.llama3_1)
                continue
            yield _model(descriptor, f"{repo}-FP8", _128K, LlamaFamily.llama3_1)
            yield _model(f"{descriptor}:bf16-mp8", repo, _128K, LlamaFamily.llama3_1)
            yield _model(f"{descriptor}:bf16-mp16", repo, _128K, LlamaFamily.llama3_1)


def _llama3_2() -> Iterator[LlamaModel]:
    for size in ("1B", "3B"):
        for form in ("", "-Instruct"):
            yield _model(f"Llama3.2-{size}{form}", f"Llama-3.2-{size}{form}", _128K, LlamaFamily.llama3_2_text)
        for variant, suffix in (("int4-qlora-eo8", "QLORA_INT4_EO8"), ("int4-spinquant-eo8", "SpinQuant_INT4_EO8")):
            descriptor, repo = f"Llama3.2-{size}-Instruct:{variant}", f"Llama-3.2-{size}-Instruct-{suffix}"
            yield _model(descriptor, repo, _8K, LlamaFamily.llama3_2_text)
    for size in ("11B", "90B"):
        for form in ("", "-Instruct"):
            descriptor, repo = f"Llama3.2-{size}-Vision{form}", f"Llama-3.2-{size}-Vision{form}"
            yield _model(descriptor, repo, _128K, LlamaFamily.llama3_2_vision)


def _older() -> Iterator[LlamaModel]:
    for size in ("8B", "70B"):
        for form in ("", "-Instruct"):
            name = f"Llama-3-{size}{form}"
            yield _model(name, name, _8K, LlamaFamily.llama3, is_supported=False)
    for size in ("7b", "13b", "70b"):
        for form in ("", "-chat"):
            name = f"Llama-2-{size}{form}"
            yield _model(name, name, _4K, LlamaFamily.llama2, is_supported=False)


def _safety() -> Iterator[LlamaModel]:
    for name in ("Llama-Guard-3-8B", "Llama-Guard-3-1B", "Llama-Guard-3-11B-Vision"):
        yield _model(name, name, _128K, LlamaFamily.guard)
    for descriptor, repo in (
        ("Llama-Guard-3-8B:int8", "Llama-Guard-3-8B-INT8"),
        ("Llama-Guard-3-1B:int4", "Llama-Guard-3-1B-INT4"),
    ):
        yield _model(descriptor, repo, _128K, LlamaFamily.guard, is_supported=False)
    yield _model("Llama-Guard-2-8B", "Llama-Guard-2-8B", _4K, LlamaFamily.guard, is_supported=False)
    yield _model("Prompt-Guard-86M", "Prompt-Guard-86M", 2048, LlamaFamily.prompt_guard, is_supported=False)


LLAMA_MODELS: tuple[LlamaModel, ...] = tuple(chain(_llama3_1(), _llama3_2(), _safety(), _older()))
"""All models, newest families first, each before its variants."""


def _index(models: Iterable[LlamaModel]) -> Mapping[str, LlamaModel]:
    index: dict[str, LlamaModel] = {}
    for model in models:
        for name in (model.descriptor, model.repo, *model.aliases):
            index.setdefault(name, model)
    return MappingProxyType(index)


_BY_NAME = _index(LLAMA_MODELS)

__all__ = ["LLAMA_MODELS", "LlamaFamily", "LlamaModel", "find_llama_model"]
