"""Tokens into text, one at a time.

A token is some bytes, and a character may lie over several tokens. The incremental UTF-8 decoder of the standard library holds a
begun character back, and puts U+FFFD only for bytes that nothing can complete any more.
"""

import codecs
from collections.abc import Callable

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """The text of one choice.

    Args:
        token_bytes: the bytes that a token stands for; none where it says something to the engine only.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = _utf8_decoder("replace")

    def push(self, token: int) -> str:
        """Takes the next token and returns the characters that are now whole, maybe none."""
        return self._decoder.decode(self._token_bytes(token))

    def finish(self) -> str:
        """Ends the text; a character that was begun and not completed becomes U+FFFD."""
        return self._decoder.decode(b"", final=True)


__all__ = ["Detokenizer"]
