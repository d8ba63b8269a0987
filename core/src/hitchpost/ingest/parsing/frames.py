"""What goes between the host and a process that parses: frames of a JSON header and a body of bytes."""

import struct
from typing import BinaryIO, Literal

from pydantic import BaseModel

LENGTHS = struct.Struct(">II")
"""Bytes of the header, bytes of the body."""


class ParseRequest(BaseModel):
    """Parse the document that is the body."""

    mime_type: str
    charset: str | None
    """What its bytes are said to be in; of text only."""
    chunk_size: int | None
    overlap: int
    max_chunks: int
    max_chunk_characters: int
    max_text_characters: int
    max_inflated_bytes: int
    cpu_seconds: int


Refusal = Literal["bad_request", "unsupported"]


class ParseAnswer(BaseModel):
    """The body is the text, in UTF-8; empty where the document was refused."""

    refusal: Refusal | None = None
    message: str = ""
    """Why it was refused."""
    spans: list[tuple[int, int, int, int]] = []
    """Of each chunk its start and end in the text, its number of tokens, and its heading's index below, or -1."""
    headings: list[str] = []
    token_count: int = 0
    is_worn: bool = False
    """Whether the process should parse no more, as it holds much memory."""


def pack(header: BaseModel, body: bytes) -> tuple[bytes, bytes]:
    """A frame: its lengths with the header, and the body as it is."""
    text = header.model_dump_json().encode()
    return LENGTHS.pack(len(text), len(body)) + text, body


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next header and body of a blocking stream; None at its end."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    header_length, body_length = LENGTHS.unpack(lengths)
    return stream.read(header_length), stream.read(body_length)


__all__ = ["LENGTHS", "ParseAnswer", "ParseRequest", "Refusal", "pack", "read_frame"]
