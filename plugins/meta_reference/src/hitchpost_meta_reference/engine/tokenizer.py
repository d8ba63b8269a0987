"""Text to token ids and back, for the three kinds of tokenizer files that Llama checkpoints come with.

| file | checkpoint | library |
|---|---|---|
| `tokenizer.json` | Hugging Face | tokenizers |
| `tokenizer.model`, lines of base64 and rank | Meta, Llama 3 | tiktoken |
| `tokenizer.model`, a protocol buffer | Meta, Llama 2 | sentencepiece |

Text is encoded as text: whatever it spells, no special token comes of it. Special tokens enter a prompt only as such.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import own_file
from hitchpost_meta_reference.engine.hugging_face_tokenizer import HuggingFaceTokenizer
from hitchpost_meta_reference.engine.meta_tokenizers import SentencePieceTokenizer, TiktokenTokenizer

MAX_TOKENIZER_BYTES = 256 * 2**20
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's white space; Python's own notion has four characters more."""


class SpecialTokenLike(Protocol):
    """A special token of a prompt, by its spelling."""

    @property
    def token(self) -> str: ...


class Tokenizer(Protocol):
    """What the engine needs of a tokenizer."""

    special_tokens: dict[str, int]
    """Spelling to id."""
    bos_id: int | None
    """What a text that is to be continued begins with, if anything."""
    eos_ids: frozenset[int]
    """Tokens that end an answer."""
    vocab_size: int

    has_space_prefix: bool
    """Whether the first word of a text is encoded with a space in front, which an answer then begins with too."""

    @property
    def swallows_space_before(self) -> Collection[str]:
        """Special tokens that take the spaces in front of them with them."""
        ...

    @property
    def swallows_space_behind(self) -> Collection[str]:
        """Special tokens that take the spaces behind them with them."""
        ...

    def encode_text(self, text: str, *, begins: bool = True) -> list[int]:
        """Ids of a text; special tokens that it spells are read as plain text. `begins`: nothing stands before it."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for, which need not be whole characters; none for special tokens and unknown ids."""
        ...


def encode_prompt(tokenizer: Tokenizer, segments: Iterable[str | SpecialTokenLike]) -> list[int]:
    """Ids of a prompt made of texts and special tokens. Raises CheckpointError for a special token that the tokenizer lacks."""
    ids: list[int] = []
    segments = list(segments)
    for index, segment in enumerate(segments):
        if isinstance(segment, str):
            before, after = segments[max(index - 1, 0)], segments[min(index + 1, len(segments) - 1)]
            if not isinstance(before, str) and before.token in tokenizer.swallows_space_behind:
                segment = segment.lstrip(_SPACE)
            if not isinstance(after, str) and after.token in tokenizer.swallows_space_before:
                segment = segment.rstrip(_SPACE)
            ids += tokenizer.encode_text(segment, begins=index == 0)
        elif segment.token in tokenizer.special_tokens:
            ids.append(tokenizer.special_tokens[segment.token])
        else:
            raise CheckpointError(f"the checkpoint's tokenizer has no special token {segment.token}")
    return ids


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint. Raises CheckpointError where there is none or it can't be read."""
    hugging_face, model = folder / "tokenizer.json", folder / "tokenizer.model"
    try:
        if hugging_face.is_file():
            return HuggingFaceTokenizer(_read(hugging_face), folder)
        if not model.is_file():
            raise CheckpointError("the checkpoint has neither tokenizer.json nor tokenizer.model")
        content = _read(model)
        if not content:
            raise CheckpointError("tokenizer.model is empty")
        first = content.partition(b"\n")[0]
        if re.fullmatch(rb"[A-Za-z0-9+/=]+ \d+", first):
            return TiktokenTokenizer(content)
        return SentencePieceTokenizer(content)
    except CheckpointError:
        raise
    except Exception as error:  # each library has errors of its own, some plain `Exception`
        raise CheckpointError(f"the checkpoint's tokenizer can't be read: {type(error).__name__}") from error


def _read(file: Path) -> bytes:
    path = own_file(file)
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise CheckpointError(f"{file.name} is larger than {MAX_TOKENIZER_BYTES >> 20} MiB")
    return path.read_bytes()


__all__ = ["SpecialTokenLike", "Tokenizer", "encode_prompt", "load_tokenizer"]
