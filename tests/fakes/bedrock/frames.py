"""Messages in the encoding `application/vnd.amazon.eventstream`: big-endian lengths, headers, payload, and two checksums.

botocore, which the provider decodes them with, has no encoder; what may stand in them is the matter of `shapes`.
"""

import json
import random
import string
import struct
import zlib
from typing import Any

TEXT = 7
"""Type of a header whose value is a text."""


def event(kind: str, payload: dict[str, Any]) -> bytes:
    """An event; its payload is padded with random letters against the reading of sizes."""
    padded = {**payload, "p": "".join(random.choices(string.ascii_letters, k=random.randint(1, 30)))}
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(padded).encode())


def exception(kind: str, payload: dict[str, Any]) -> bytes:
    """An error in the middle of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps(payload).encode())


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Any message."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return head + struct.pack(">I", zlib.crc32(head))


def _header(name: str, value: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", TEXT, len(value)) + value.encode()
