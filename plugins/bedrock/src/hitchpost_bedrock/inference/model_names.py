"""Ids of models, as Bedrock writes them and as Llama's catalogue knows them."""

import re
from collections.abc import Collection, Mapping

from hitchpost.llama import LlamaModel, find_llama_model

_BEDROCK_LLAMAS: Mapping[str, str] = {
    "Llama-3-8B-Instruct": "meta.llama3-8b-instruct-v1:0",
    "Llama-3-70B-Instruct": "meta.llama3-70b-instruct-v1:0",
    "Llama3.1-8B-Instruct": "meta.llama3-1-8b-instruct-v1:0",
    "Llama3.1-70B-Instruct": "meta.llama3-1-70b-instruct-v1:0",
    "Llama3.1-405B-Instruct": "meta.llama3-1-405b-instruct-v1:0",
    "Llama3.2-1B-Instruct": "meta.llama3-2-1b-instruct-v1:0",
    "Llama3.2-3B-Instruct": "meta.llama3-2-3b-instruct-v1:0",
    "Llama3.2-11B-Vision-Instruct": "meta.llama3-2-11b-instruct-v1:0",
    "Llama3.2-90B-Vision-Instruct": "meta.llama3-2-90b-instruct-v1:0",
}
"""Of the catalogue's models those that Bedrock has."""
_DESCRIPTORS = {model_id: descriptor for descriptor, model_id in _BEDROCK_LLAMAS.items()}
_VENDORS = "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|nvidia|openai|qwen|stability|twelvelabs|writer|zai"
_BASE = re.compile(rf"(?:^|[./])((?:{_VENDORS})\.[A-Za-z0-9][A-Za-z0-9._:-]*)$")
_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d{0,12}:[a-z-]+/[A-Za-z0-9._:/-]+")


def is_arn(name: str) -> bool:
    """Whether it names something of an account's by its ARN."""
    return len(name) <= 2048 and _ARN.fullmatch(name) is not None


def base_of(model: str) -> str:
    """The id of the model behind an id, an inference profile or an ARN; what doesn't say it stays as it is."""
    found = _BASE.search(model)
    return found[1] if found else model


def vendor_of(model: str) -> str:
    """Who made it: `meta`, `amazon`, ..."""
    return base_of(model).partition(".")[0]


def find_llama(model: str) -> LlamaModel | None:
    """The Llama model that one of Bedrock's is."""
    descriptor = _DESCRIPTORS.get(base_of(model))
    return None if descriptor is None else find_llama_model(descriptor)


def find_among(name: str, served: Collection[str]) -> str | None:
    """The one of the served ids that is meant: by Bedrock's own name, or by any name of a Llama model. Where the model itself isn't
    served, an inference profile for it is, that of the region before the global one."""
    if name in served:
        return name
    known = find_llama_model(name)
    base = _BEDROCK_LLAMAS.get(known.descriptor) if known is not None else name
    if base in served:
        return base
    profiles = sorted(one for one in served if one.endswith(f".{base}") and "." not in one.removesuffix(f".{base}"))
    return min(profiles, key=lambda one: one.startswith("global."), default=None)


def llama_id(name: str) -> str | None:
    """Bedrock's id for a Llama model by any of its names."""
    known = find_llama_model(name)
    return None if known is None else _BEDROCK_LLAMAS.get(known.descriptor)


__all__ = ["base_of", "find_among", "find_llama", "is_arn", "llama_id", "vendor_of"]
