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
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import own_file, read_json

MAX_TOKENIZER_BYTES = 256 * 2**20
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
            return HuggingFaceTokenizer(folder)
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


class HuggingFaceTokenizer:
    """`tokenizer.json`, with what the files beside it say of single tokens."""

    def __init__(self, folder: Path) -> None:
        description = json.loads(_read(folder / "tokenizer.json"))
        settings = _optional_json(folder / "tokenizer_config.json")
        ends = _eos_ids(folder)
        added = description.get("added_tokens") or []
        special = _special_spellings(added, settings, ends)
        for token in added:
            # Special to the library is what encode_special_tokens keeps text from becoming.
            token["special"] = token["content"] in special
        self._library = _library(description)
        self._library_within = self._library
        if _prefixes_only_the_first(description.get("pre_tokenizer")):
            self._library_within = _library(description)
        self.special_tokens = {token["content"]: token["id"] for token in added if token["special"]}
        self.swallows_space_before = {token["content"] for token in added if token["special"] and token.get("lstrip")}
        self.swallows_space_behind = {token["content"] for token in added if token["special"] and token.get("rstrip")}
        self.vocab_size = int(self._library.get_vocab_size(with_added_tokens=True))
        self._added = {token["id"]: token["content"] for token in added}
        self.bos_id = self._bos_id(settings)
        named_end = self.special_tokens.get(_spelling(settings.get("eos_token")) or "")
        known_ends = {self.special_tokens[name] for name in LLAMA3_ENDS if name in self.special_tokens}
        self.eos_ids = frozenset(ends | known_ends | ({named_end} if named_end is not None else set()))
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
        piece = self._library.id_to_token(token) if token >= 0 else None
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

    def _bos_id(self, settings: dict[str, Any]) -> int | None:
        # Many tokenizers name a begin that they don't put in front of a text.
        bos = self.special_tokens.get(_spelling(settings.get("bos_token")) or "")
        begins = bos in self._library.encode("", add_special_tokens=True).ids or settings.get("add_bos_token") is True
        return bos if begins else None


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
        return _piece_bytes(self._library.id_to_piece(token))


def _library(description: dict[str, Any]) -> Any:
    """The library's tokenizer by its description."""
    from tokenizers import Tokenizer as Library

    library = Library.from_str(json.dumps(description))
    # Otherwise text that spells a special token would become it.
    library.encode_special_tokens = True
    # Some files keep what their last training cut texts to.
    library.no_truncation()
    library.no_padding()
    return library


def _special_spellings(added: list[dict[str, Any]], settings: dict[str, Any], ends: set[int]) -> set[str]:
    """What text must not become: tokens that the file calls special, that have a role, end an answer, or look like `<|name|>`."""
    named = {_spelling(value) for key, value in settings.items() if key.endswith("_token")}
    named |= {_spelling(value) for value in settings.get("additional_special_tokens") or []}
    return {
        token["content"]
        for token in added
        if token.get("special")
        or token["content"] in named
        or token["id"] in ends
        or re.fullmatch(r"<\|.+\|>", token["content"])
    }


def _eos_ids(folder: Path) -> set[int]:
    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        ids = _optional_json(folder / name).get("eos_token_id")
        found |= {index for index in (ids if isinstance(ids, list) else [ids]) if type(index) is int}
    return found


def _spelling(token: Any) -> str | None:
    """Of a token in `tokenizer_config.json`: a text, or an object that has it."""
    spelling = token.get("content") if isinstance(token, dict) else token
    return spelling if isinstance(spelling, str) else None


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


def _optional_json(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _read(file: Path) -> bytes:
    path = own_file(file)
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise CheckpointError(f"{file.name} is larger than {MAX_TOKENIZER_BYTES >> 20} MiB")
    return path.read_bytes()


__all__ = [
    "HuggingFaceTokenizer",
    "SentencePieceTokenizer",
    "TiktokenTokenizer",
    "Tokenizer",
    "encode_prompt",
    "load_tokenizer",
]
