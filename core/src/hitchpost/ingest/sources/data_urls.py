"""`data:` URLs (RFC 2397): the document is in the URL."""

import binascii
import re
from base64 import b64decode
from urllib.parse import unquote_to_bytes

from hitchpost.errors import BadRequestError
from hitchpost.ingest.sources import SourceBytes


def read_data_url(url: str, max_bytes: int) -> SourceBytes:
    """The document in a URL.

    Raises:
        BadRequestError: it is malformed or too large.
    """
    head, comma, payload = url[len("data:") :].partition(",")
    if not comma:
        raise BadRequestError("a data: URL has a comma before its data, which is missing", param="content")
    media_type, _, encoding = head.rpartition(";")
    if encoding.strip().lower() != "base64":
        data = unquote_to_bytes(payload)
        return _bounded(SourceBytes(data, head or None), max_bytes)
    packed = re.sub(rb"\s+", b"", unquote_to_bytes(payload)).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        data = b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise BadRequestError("the data: URL holds no Base64", param="content") from error
    return _bounded(SourceBytes(data, media_type or None), max_bytes)


def _bounded(found: SourceBytes, max_bytes: int) -> SourceBytes:
    if len(found.data) > max_bytes:
        raise BadRequestError(f"the document is larger than {max_bytes:,} bytes", param="content")
    return found


__all__ = ["read_data_url"]
