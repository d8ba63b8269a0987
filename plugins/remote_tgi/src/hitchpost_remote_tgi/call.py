"""One request to a server, on either of its wires, and what reads the answer to it."""

from dataclasses import dataclass
from typing import Any, Protocol

from hitchpost.api import InferenceEvent
from hitchpost_remote_tgi.refusals import ContextExceededError


class AnswerEvents(Protocol):
    """Turns what a server answers into events, piece by piece. Each raises BadBackendAnswerError where it can't be read."""

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, whatever the server still sends."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether it was the server that ended it, so that nothing more comes."""
        ...

    def feed(self, data: bytes) -> list[InferenceEvent]:
        """The events of one server-sent event."""
        ...

    def end(self) -> list[InferenceEvent]:
        """What is left when the stream has ended without an error of the connection."""
        ...

    def whole(self, answer: Any, prompt_tokens: int | None) -> list[InferenceEvent]:
        """The events of an answer that came at once; `prompt_tokens` as its header says."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked. The body lacks what tells streams from whole answers.

    Args:
        is_chat: for `/v1/chat/completions`, else for `/generate`.
        body: without what tells streams from whole answers.
        limit_tokens: the longest answer; None leaves it to the server.
        was_shortened: the server has said what fits, and `limit_tokens` goes by that.
    """

    is_chat: bool
    body: dict[str, Any]
    limit_tokens: int | None
    was_shortened: bool = False

    def shortened(self, exceeded: ContextExceededError) -> "Call":
        """The same with an answer that fits behind the prompt.

        Raises:
            ContextExceededError: nothing fits.
        """
        if self.was_shortened or exceeded.room_tokens < 1:
            raise exceeded
        return Call(self.is_chat, self.body, exceeded.room_tokens, was_shortened=True)

    def full_body(self, *, stream: bool) -> dict[str, Any]:
        """The body as it is sent."""
        if self.is_chat:
            limit = {} if self.limit_tokens is None else {"max_tokens": self.limit_tokens}
            return {
                **self.body,
                **limit,
                "stream": stream,
                **({"stream_options": {"include_usage": True}} if stream else {}),
            }
        limit = {} if self.limit_tokens is None else {"max_new_tokens": self.limit_tokens}
        return {**self.body, "parameters": {**self.body["parameters"], **limit}}


__all__ = ["AnswerEvents", "Call"]
