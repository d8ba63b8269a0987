"""What a server sent packed, inflated step by step and no further than allowed."""

import zlib
from collections.abc import Iterator

from hitchpost.errors import BadRequestError, UnsupportedError, quoted

STEP_BYTES = 256 * 1024
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
GZIP_START = b"\x1f\x8b"


class Inflater:
    """Inflates a body whose `Content-Encoding` is `encoding`: gzip, deflate or none.

    Raises:
        UnsupportedError: the encoding is another one.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise UnsupportedError(f"the server sent the document packed as {quoted(name)}, which nobody asked for")
        self._unpack = None if name in ("", "identity") else zlib.decompressobj(GZIP_OR_ZLIB)
        self._has_begun = False

    def steps(self, piece: bytes) -> Iterator[bytes]:
        """What a piece inflates to, in pieces small enough to do something else between them.

        Raises:
            BadRequestError: it isn't packed as it is said to be.
        """
        if self._unpack is None:
            yield piece
            return
        self._has_begun = True
        try:
            while piece:
                if self._unpack.eof:
                    if not piece.startswith(GZIP_START):
                        return
                    self._unpack = zlib.decompressobj(GZIP_OR_ZLIB)
                yield self._unpack.decompress(piece, STEP_BYTES)
                piece = self._unpack.unconsumed_tail or self._unpack.unused_data
        except zlib.error as error:
            raise BadRequestError(
                "the server sent a document that is not packed as it says", param="content"
            ) from error

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end; an empty body is whole."""
        return self._unpack is None or self._unpack.eof or not self._has_begun


__all__ = ["Inflater"]
