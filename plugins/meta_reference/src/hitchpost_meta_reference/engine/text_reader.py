"""Texts into token ids for vectors: what lies behind a model's limit is cut off, as sentence-transformers does."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import own_file
from hitchpost_meta_reference.engine.tokenizer import MAX_TOKENIZER_BYTES, Tokenizer

INLINE_CHARS = 8192
"""Texts up to this size together take a few milliseconds; others are read in a thread, beside the vectors of others."""
TEXTS_PER_TURN = 64
"""So many texts of a request are read before another request has its turn."""
CHARS_PER_TOKEN = 16
"""More than texts have on average: so much of a long text is read at first, in the hope that it fills the limit."""
MOST_CHARS_PER_TOKEN = 1024
"""More of a text isn't looked at, whatever it consists of: a limit to time and memory."""

Tokens = tuple[int, ...]
Encode = Callable[[list[str]], list[Tokens]]
"""Tokens of texts, cut off at the limit."""


class CheckpointTexts:
    """Reads texts for one checkpoint.

    Args:
        encode: its tokenizer.
        max_tokens: what that cuts off at.
        vocabulary_size: tokens that the model has an embedding for; a tokenizer may know more.
    """

    def __init__(self, encode: Encode, *, max_tokens: int, vocabulary_size: int) -> None:
        self._encode = encode
        self._max_tokens = max_tokens
        self._vocabulary_size = vocabulary_size
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="texts")

    async def read(self, texts: list[str]) -> list[Tokens]:
        """The tokens of each text, at least one.

        Raises:
            BadRequestError, UnsupportedError: a text has no tokens, or one that the model doesn't know.
        """
        if not texts:
            raise BadRequestError("there is no text to make a vector of", param="contents")
        if sum(map(len, texts)) <= INLINE_CHARS:
            read = self._encode(texts)
        else:
            loop = asyncio.get_running_loop()
            read = []
            for at in range(0, len(texts), TEXTS_PER_TURN):
                some = texts[at : at + TEXTS_PER_TURN]
                read += await loop.run_in_executor(self._thread, self._encode_beginnings, some)
        for index, tokens in enumerate(read):
            self._check(index, tokens)
        return read

    def _encode_beginnings(self, texts: Sequence[str]) -> list[Tokens]:
        most_chars = CHARS_PER_TOKEN * self._max_tokens
        beginnings = [beginning(text, most_chars) for text in texts]
        read = self._encode(beginnings)
        for index, text in enumerate(texts):
            # Cut in front of a space, so the tokens are those of the whole text, if only there are enough.
            if len(read[index]) < self._max_tokens and len(beginnings[index]) < len(text):
                read[index] = self._encode([beginning(text, MOST_CHARS_PER_TOKEN * self._max_tokens)])[0]
        return read

    def _check(self, index: int, tokens: Tokens) -> None:
        if not tokens:
            raise BadRequestError(f"contents.{index} is empty, and this model has no token for that", param="contents")
        if max(tokens) >= self._vocabulary_size:
            raise UnsupportedError(
                f"contents.{index} has token {max(tokens)}, which the checkpoint's tokenizer knows and its model doesn't",
                param="contents",
            )


def beginning(text: str, most_chars: int) -> str:
    """A text up to the first space behind `most_chars` characters, or up to twice as many."""
    if len(text) <= most_chars:
        return text
    end = text.find(" ", most_chars, 2 * most_chars)
    return text[: end if end >= 0 else 2 * most_chars]


def decoder_encoding(tokenizer: Tokenizer, max_tokens: int) -> Encode:
    """Tokens as in a prompt: with the token that begins a text, where the checkpoint has one."""
    begin = () if tokenizer.bos_id is None else (tokenizer.bos_id,)

    def encode(texts: list[str]) -> list[Tokens]:
        return [(*begin, *tokenizer.encode_text(text))[:max_tokens] for text in texts]

    return encode


def encoder_encoding(folder: Path, max_tokens: int, *, lowercases: bool) -> Encode:
    """Tokens as an encoder wants them, by its `tokenizer.json`: between special tokens; what spells a special token is one.

    Raises:
        CheckpointError: it is missing or can't be read.
    """
    library = _library(folder / "tokenizer.json")
    library.no_padding()
    library.enable_truncation(max_tokens)

    def encode(texts: list[str]) -> list[Tokens]:
        read = library.encode_batch_fast([text.lower() for text in texts] if lowercases else texts)
        return [tuple(one.ids) for one in read]

    return encode


def _library(file: Path) -> Any:
    from tokenizers import Tokenizer as Library

    path = own_file(file)
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise CheckpointError(f"{file.name} is larger than {MAX_TOKENIZER_BYTES >> 20} MiB")
    try:
        return Library.from_buffer(path.read_bytes())
    except Exception as error:  # the library raises plain `Exception`
        raise CheckpointError(f"the checkpoint's tokenizer can't be read: {type(error).__name__}") from error


__all__ = ["CheckpointTexts", "Encode", "Tokens", "beginning", "decoder_encoding", "encoder_encoding"]
