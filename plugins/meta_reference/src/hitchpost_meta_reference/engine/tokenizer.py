"""Text to token ids and back, for the three kinds of tokenizer files that Llama checkpoints come with.

| file | checkpoint | library |
|---|---|---|
| `tokenizer.json` | Hugging Face | tokenizers |
| `tokenizer.model`, lines of base64 and rank | Meta, Llama 3 | tiktoken |
| `tokenizer.model`, a protocol buffer | Meta, Llama 2 | sentencepiece |

Text is encoded as text: whatever it spells, no special token comes of it. Special tokens enter a prompt only as such.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import read_json

MAX_TOKENIZER_BYTES = 256 * 2**20
LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_SPECIAL_COUNT = 256
LLAMA3_SPECIAL = {
    "<|begin_of_text|>": 0,
    "<|end_of_text|>": 1,
    "<|finetune_right_pad_id|>": 4,
    "<|step_id|>": 5,
    "<|start_header_id|>": 6,
    "<|end_header_id|>": 7,
    "<|eom_id|>": 8,
    "<|eot_id|>": 9,
    "<|python_tag|>": 10,
    "<|image|>": 11,
}
"""Offsets of the special tokens from the first id behind the vocabulary; the others are reserved."""
MAX_RUN_CHARS = 25_000
"""tiktoken takes quadratic time over one run of letters or of spaces, so longer ones are cut."""


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

    def encode_text(self, text: str, *, begins: bool = True) -> list[int]:
        """Ids of a text; special tokens that it spells are read as plain text. `begins`: nothing stands before it."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for, which need not be whole characters; none for special tokens and unknown ids."""
        ...


def encode_prompt(tokenizer: Tokenizer, segments: Iterable[str | SpecialTokenLike]) -> list[int]:
    """Ids of a prompt made of texts and special tokens. Raises CheckpointError for a special token that the tokenizer lacks."""
    ids: list[int] = []
    for segment in segments:
        if isinstance(segment, str):
            ids += tokenizer.encode_text(segment, begins=not ids)
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
            return HuggingFaceTokenizer(folder)
        if not model.is_file():
            raise CheckpointError("the checkpoint has neither tokenizer.json nor tokenizer.model")
        content = _read(model)
        first = content.partition(b"\n")[0]
        if re.fullmatch(rb"[A-Za-z0-9+/=]+ \d+", first):
            return TiktokenTokenizer(content)
        return SentencePieceTokenizer(content)
    except CheckpointError:
        raise
    except Exception as error:  # each library has errors of its own, some plain `Exception`
        raise CheckpointError(f"the checkpoint's tokenizer can't be read: {type(error).__name__}") from error


class HuggingFaceTokenizer:
    """`tokenizer.json`, with the ids that end an answer from the files beside it."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer as Library

        content = _read(folder / "tokenizer.json")
        self._library: Any = Library.from_buffer(content)
        # Otherwise text that spells a special token would become it.
        self._library.encode_special_tokens = True
        description = json.loads(content)
        self._library_within = self._library
        if _prefixes_only_the_first(description.get("pre_tokenizer")):
            self._library_within = Library.from_str(json.dumps(description))
            self._library_within.encode_special_tokens = True
        added = self._library.get_added_tokens_decoder()
        self.special_tokens = {token.content: index for index, token in added.items() if token.special}
        self.vocab_size = int(self._library.get_vocab_size(with_added_tokens=True))
        self._added = {index: token.content for index, token in added.items()}
        settings = _optional_json(folder / "tokenizer_config.json")
        self.bos_id = self._named(settings.get("bos_token"))
        self.eos_ids = self._eos_ids(folder, settings)
        self._decodes_bytes = "ByteLevel" in json.dumps(description.get("decoder"))
        self.has_space_prefix = bool(self.token_bytes(next(iter(self.encode_text("a")), -1)).startswith(b" "))

    def encode_text(self, text: str, *, begins: bool = True) -> list[int]:
        """Ids of a text; special tokens that it spells are read as plain text. `begins`: nothing stands before it."""
        library = self._library if begins else self._library_within
        ids: list[int] = library.encode(text, add_special_tokens=False).ids
        return ids

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for special tokens and unknown ids."""
        if token in self._added:
            spelling = self._added[token]
            return b"" if spelling in self.special_tokens else spelling.encode()
        piece = self._library.id_to_token(token)
        if piece is None:
            return b""
        if self._decodes_bytes:
            return bytes(self._byte_of_char.get(char, 0x3F) for char in piece)
        return _piece_bytes(piece)

    @cached_property
    def _byte_of_char(self) -> dict[str, int]:
        """The printable characters that stand for bytes in byte-level vocabularies (Radford et al., "GPT-2", 2019)."""
        plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in plain]
        return {chr(byte): byte for byte in plain} | {chr(256 + index): byte for index, byte in enumerate(others)}

    def _named(self, token: Any) -> int | None:
        spelling = token.get("content") if isinstance(token, dict) else token
        index = self._library.token_to_id(spelling) if isinstance(spelling, str) else None
        return int(index) if index is not None else None

    def _eos_ids(self, folder: Path, settings: dict[str, Any]) -> frozenset[int]:
        found: set[int] = set()
        for name in ("generation_config.json", "config.json"):
            ids = _optional_json(folder / name).get("eos_token_id")
            found |= {int(index) for index in (ids if isinstance(ids, list) else [ids]) if isinstance(index, int)}
        named = self._named(settings.get("eos_token"))
        ends = {
            self.special_tokens[name]
            for name in ("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>")
            if name in self.special_tokens
        }
        return frozenset(found | ends | ({named} if named is not None else set()))


class TiktokenTokenizer:
    """Meta's Llama 3 vocabulary. Special tokens follow it: ten with a use and others that are reserved."""

    has_space_prefix = False

    def __init__(self, content: bytes) -> None:
        import tiktoken

        self._ranks = _tiktoken_ranks(content)
        base = len(self._ranks)
        self.special_tokens = {name: base + offset for name, offset in LLAMA3_SPECIAL.items()}
        self.vocab_size = base + LLAMA3_SPECIAL_COUNT
        self.bos_id: int | None = self.special_tokens["<|begin_of_text|>"]
        self.eos_ids = frozenset(self.special_tokens[name] for name in ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"))
        self._bytes = {rank: token for token, rank in self._ranks.items()}
        self._library = tiktoken.Encoding(
            "llama3", pat_str=LLAMA3_SPLIT, mergeable_ranks=self._ranks, special_tokens={}
        )

    def encode_text(self, text: str, *, begins: bool = True) -> list[int]:
        """Ids of a text; special tokens that it spells are read as plain text. `begins` makes no difference here."""
        ids: list[int] = []
        for part in _short_runs(text):
            ids += self._library.encode_ordinary(part)
        return ids

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for special tokens and unknown ids."""
        return self._bytes.get(token, b"")


class SentencePieceTokenizer:
    """Meta's Llama 2 vocabulary."""

    has_space_prefix = True

    def __init__(self, content: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self._library: Any = SentencePieceProcessor(model_proto=content)
        self.vocab_size = int(self._library.vocab_size())
        self.bos_id: int | None = self._library.bos_id() if self._library.bos_id() >= 0 else None
        self.eos_ids = frozenset({int(self._library.eos_id())}) if self._library.eos_id() >= 0 else frozenset()
        known = {"<s>": self._library.bos_id(), "</s>": self._library.eos_id()}
        self.special_tokens = {name: int(index) for name, index in known.items() if index >= 0}

    def encode_text(self, text: str, *, begins: bool = True) -> list[int]:
        """Ids of a text; special tokens that it spells are read as plain text. `begins` makes no difference here."""
        ids: list[int] = self._library.encode(text)
        return ids

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for special tokens and unknown ids."""
        if not 0 <= token < self.vocab_size or self._library.is_control(token):
            return b""
        return _piece_bytes(self._library.id_to_piece(token))


def _prefixes_only_the_first(pre_tokenizer: Any) -> bool:
    """Whether text gets its space only where nothing stands before it; if so the description is changed to never doing so."""
    found = False
    for step in [pre_tokenizer, *((pre_tokenizer or {}).get("pretokenizers") or [])]:
        if isinstance(step, dict) and step.get("prepend_scheme") == "first":
            step["prepend_scheme"] = "never"
            found = True
    return found


def _piece_bytes(piece: str) -> bytes:
    """A sentencepiece: `<0x0A>` is a byte, a lower one eighth block a space."""
    byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("\u2581", " ").encode()


def _tiktoken_ranks(content: bytes) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line:
            continue
        token, _, rank = line.partition(b" ")
        try:
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (binascii.Error, ValueError) as error:
            raise CheckpointError(f"tokenizer.model, line {number}: not a base64 token and its rank") from error
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise CheckpointError("tokenizer.model: the ranks are not 0, 1, 2, ... without a gap")
    return ranks


def _short_runs(text: str) -> Iterable[str]:
    """The text in parts in which no run of spaces, or of anything else, is longer than MAX_RUN_CHARS."""
    begin = run = 0
    in_space = False
    for index, char in enumerate(text):
        if char.isspace() is not in_space:
            in_space, run = not in_space, 0
        run += 1
        if run > MAX_RUN_CHARS:
            yield text[begin:index]
            begin, run = index, 1
    yield text[begin:]


def _optional_json(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _read(file: Path) -> bytes:
    if file.stat().st_size > MAX_TOKENIZER_BYTES:
        raise CheckpointError(f"{file.name} is larger than {MAX_TOKENIZER_BYTES >> 20} MiB")
    return file.read_bytes()


__all__ = [
    "HuggingFaceTokenizer",
    "SentencePieceTokenizer",
    "TiktokenTokenizer",
    "Tokenizer",
    "encode_prompt",
    "load_tokenizer",
]
