"""Meta's tokenizers: `tokenizer.model` as Llama 3 has it, lines of base64 and rank, and as Llama 2 has it, a protocol buffer."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from hitchpost_meta_reference.engine.errors import CheckpointError

LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_SPECIAL_COUNT = 256
LLAMA3_ENDS = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")
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
_LONG_RUN = re.compile(rf"\s{{{MAX_RUN_CHARS}}}|\S{{{MAX_RUN_CHARS}}}")


class TiktokenTokenizer:
    """Meta's Llama 3 vocabulary. Special tokens follow it: ten with a use and others that are reserved."""

    swallows_space_before = swallows_space_behind = frozenset[str]()
    has_space_prefix = False

    def __init__(self, content: bytes) -> None:
        import tiktoken

        self._ranks = _tiktoken_ranks(content)
        base = len(self._ranks)
        self.special_tokens = {name: base + offset for name, offset in LLAMA3_SPECIAL.items()}
        self.vocab_size = base + LLAMA3_SPECIAL_COUNT
        self.bos_id: int | None = self.special_tokens["<|begin_of_text|>"]
        self.eos_ids = frozenset(self.special_tokens[name] for name in LLAMA3_ENDS)
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

    swallows_space_before = swallows_space_behind = frozenset[str]()
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
        if not 0 <= token < self.vocab_size or self._library.is_control(token) or self._library.is_unknown(token):
            return b""
        return piece_bytes(self._library.id_to_piece(token))


def piece_bytes(piece: str) -> bytes:
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
    if any(bytes([byte]) not in ranks for byte in range(256)):
        raise CheckpointError("tokenizer.model lacks single bytes, so that it can't encode every text")
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise CheckpointError("tokenizer.model: the ranks are not 0, 1, 2, ... without a gap")
    return ranks


def _short_runs(text: str) -> Iterable[str]:
    """The text in parts in which no run of spaces, or of anything else, is longer than MAX_RUN_CHARS."""
    begin = 0
    for run in _LONG_RUN.finditer(text):
        yield text[begin : run.end()]
        begin = run.end()
    yield text[begin:]


__all__ = ["LLAMA3_ENDS", "SentencePieceTokenizer", "TiktokenTokenizer", "piece_bytes"]
