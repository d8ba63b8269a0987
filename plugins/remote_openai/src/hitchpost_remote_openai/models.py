"""The lists of models that servers answer, in each of their forms."""

from typing import Any

from hitchpost.api import Model
from hitchpost.llama import find_llama_model
from hitchpost_remote_openai.values import Unreadable, items, object_

_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window")


def listed_models(answer: Any, name: str) -> list[Model]:
    """The models of an answer of GET /models: OpenAI's object, a bare list (Together), or null for none (Ollama).

    Raises:
        BadBackendAnswerError: it can't be read.
    """
    try:
        listed = answer if isinstance(answer, list) else items(object_(answer).get("data"))
        models = {}
        for item in map(object_, listed):
            model_id = item.get("id")
            if isinstance(model_id, str) and model_id and model_id.isprintable():
                models[model_id] = Model(provider_resource_id=model_id, metadata=_metadata(model_id, item))
        return list(models.values())
    except Unreadable as error:
        raise error.told_of(name) from None


def _metadata(model_id: str, item: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if item.get("type") == "embedding":
        metadata["model_type"] = "embedding"
    meta = item.get("meta")
    # llama.cpp's is what one request may have of what it was started with.
    told = {**item, **({"context_length": meta.get("n_ctx")} if isinstance(meta, dict) else {})}
    context = next((told[name] for name in _CONTEXT_FIELDS if isinstance(told.get(name), int)), None)
    if context is not None:
        metadata["context_length"] = context
    llama = find_llama_model(model_id)
    return metadata if llama is None else {**metadata, "llama_model": llama.repo}


__all__ = ["listed_models"]
