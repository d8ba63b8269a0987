"""What a server says of itself (`/info`), and which Llama model it serves."""

import re
from dataclasses import dataclass
from typing import Any

from hitchpost.api import Capability
from hitchpost.errors import BadBackendAnswerError
from hitchpost.llama import LlamaFamily, LlamaModel, find_llama_model
from hitchpost_remote_tgi.plugin import CAPABILITIES

_CHAT_CAPABILITIES = {Capability.tool_choice, Capability.vision}
_WINDOW_IS_DEFAULT = (3, 0)
_HAS_CHAT = (1, 4)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Facts of one server; None where it doesn't tell. Tokens of prompt and answer together make `max_total_tokens`."""

    model_id: str
    version: tuple[int, ...] = (3,)
    max_total_tokens: int | None = None
    pipeline_tag: str | None = None

    @property
    def llama(self) -> LlamaModel | None:
        """The Llama model that it serves, where its name tells."""
        return find_llama_model(self.model_id)

    @property
    def has_chat(self) -> bool:
        """Whether it has the route `/v1/chat/completions`."""
        return self.version >= _HAS_CHAT

    @property
    def fills_window(self) -> bool:
        """Whether an answer without a limit is as long as the context allows; older ones then stop after 20 or 100 tokens."""
        return self.version >= _WINDOW_IS_DEFAULT

    @property
    def sees_images(self) -> bool | None:
        """None where nobody knows."""
        if self.pipeline_tag is not None:
            return self.pipeline_tag == "image-text-to-text"
        return None if self.llama is None else self.llama.family is LlamaFamily.llama3_2_vision

    def metadata(self) -> dict[str, object]:
        """What a listed model says."""
        metadata: dict[str, object] = {"model_type": "llm"}
        if self.max_total_tokens is not None:
            metadata["context_length"] = self.max_total_tokens
        if self.llama is not None:
            metadata["llama_model"] = self.llama.repo
        lacking = set() if self.has_chat else set(_CHAT_CAPABILITIES)
        if self.sees_images is False:
            lacking.add(Capability.vision)
        if lacking:
            metadata["capabilities"] = sorted(capability.value for capability in CAPABILITIES - lacking)
        return metadata


def read_info(answer: Any) -> ServerInfo:
    """What `/info` answered, in any of the versions' forms.

    Raises:
        BadBackendAnswerError: it isn't the answer of such a server.
    """
    model_id = answer.get("model_id") if isinstance(answer, dict) else None
    if not isinstance(model_id, str) or not model_id:
        raise BadBackendAnswerError(
            "the server at the configured url is no text-generation-inference: its /info names no model_id"
        )
    tag = answer.get("model_pipeline_tag")
    total = answer.get("max_total_tokens")
    return ServerInfo(
        model_id=model_id,
        version=_version(answer.get("version")),
        max_total_tokens=total if isinstance(total, int) and total > 0 else None,
        pipeline_tag=tag if isinstance(tag, str) else None,
    )


def _version(text: Any) -> tuple[int, ...]:
    found = re.match(r"(\d{1,4})\.(\d{1,4})", text) if isinstance(text, str) else None
    # One that doesn't tell is taken for a present one: the wire has not changed since.
    return (3,) if found is None else (int(found[1]), int(found[2]))


__all__ = ["ServerInfo", "read_info"]
