"""Hugging Face's tokenizers: `tokenizer.json`, with what the files beside it say of single tokens."""

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from hitchpost_meta_reference.engine.files import read_json
from hitchpost_meta_reference.engine.meta_tokenizers import LLAMA3_ENDS, piece_bytes


class HuggingFaceTokenizer:
    """A tokenizer of the tokenizers library.

    Args:
        content: of `tokenizer.json`.
        folder: where the files beside it are.
    """

    def __init__(self, content: bytes, folder: Path) -> None:
        description = json.loads(content)
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
        # In a batch, though of one: only then does the library let other threads run meanwhile.
        ids: list[int] = library.encode_batch_fast([text], add_special_tokens=False)[0].ids
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
        return piece_bytes(piece)

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


def _optional_json(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


__all__ = ["HuggingFaceTokenizer"]
