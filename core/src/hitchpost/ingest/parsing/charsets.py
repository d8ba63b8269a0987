"""Bytes into characters: by a byte order mark, as UTF-8, as declared, by their statistics."""

import codecs
import importlib.util
import re

DETECTED_BYTES = 128 * 1024
# Codecs of Python that are no character sets, or that take long for hostile bytes, stay out.
CHARSET = re.compile(
    r"(us-?)?ascii|utf-?(8|16|32)([-_]?[bl]e)?([-_]sig)?|(iso[-_]?)?8859[-_]?\d+|iso[-_]?8859[-_]?\d+([-_][ei])?|latin[-_]?\d+|l[1-9]|(windows|cp)[-_]?\d{3,5}"
    r"|koi8[-_]?[rtu]|big5([-_]?hkscs)?|gb(k|2312|18030)|euc[-_]?(jp|jis[-_]2004|kr|cn)|(shift|s)[-_]?jis(x0213)?|ms932|iso[-_]?2022[-_]?(jp|kr)([-_]\d)?|hz([-_]gb[-_]2312)?"
    r"|mac[-_]?(roman|cyrillic|greek|turkish|latin2|iceland)|tis[-_]?620",
    re.IGNORECASE,
)
STATEFUL = re.compile(r"iso[-_]?2022|hz", re.IGNORECASE)
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
LAST_RESORT = "cp1252"
HTML_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)


def decode(data: bytes, declared: str | None) -> str:
    """The characters of a text; what no character set explains becomes U+FFFD.

    A declaration that the bytes contradict is not believed. Without the library charset-normalizer, Windows-1252 is taken for what is
    neither marked, nor UTF-8, nor as declared.

    Args:
        data: the text's bytes.
        declared: name of a character set, as `Content-Type` or a page says it.
    """
    for mark, charset in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(charset, "replace")
    known = declared if declared and CHARSET.fullmatch(declared) else None
    wide = _wide_charset(data)
    candidates = [known, wide, "utf-8"] if wide or (known and STATEFUL.match(known)) else ["utf-8", known]
    for candidate in filter(None, candidates):
        try:
            return data.decode(candidate)
        except (UnicodeError, LookupError):
            continue
    return data.decode(_detected(data) or LAST_RESORT, "replace")


def cleaned(text: str) -> str:
    """A text without control characters, except tabs and line breaks, and with U+FFFD in place of halves of characters."""
    return UNWANTED.sub(_replacement, text) if UNWANTED.search(text) else text


def declared_in_html(data: bytes) -> str | None:
    """The character set that a page says it has, near its beginning."""
    match = HTML_CHARSET.search(data, 0, 4096)
    return match[1].decode("ascii") if match else None


def _replacement(match: re.Match[str]) -> str:
    return "\ufffd" if match[0] >= "\ud800" else ""


def _wide_charset(data: bytes) -> str | None:
    """UTF-16 without a mark has zeros at every second place, where the text is Latin for the most part."""
    start = data[:1024]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if len(data) % 2 or (even + odd) * 3 < len(start) or not start:
        return None
    return "utf-16-le" if even == 0 else "utf-16-be" if odd == 0 else None


def _detected(data: bytes) -> str | None:
    if importlib.util.find_spec("charset_normalizer") is None:
        return None
    from charset_normalizer import from_bytes

    best = from_bytes(data[:DETECTED_BYTES]).best()
    return best.encoding if best is not None else None


__all__ = ["cleaned", "declared_in_html", "decode"]
