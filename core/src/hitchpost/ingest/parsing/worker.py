"""The process that parses: `python -m hitchpost.ingest.parsing.worker MEMORY_BYTES`, requests on its input, answers on its output.

It takes its limits upon itself before it reads anything, and its host kills it when it is late. It ends with its input.
"""

import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.ingest.chunks import ChunkSettings, cut
from hitchpost.ingest.documents import ParsedText
from hitchpost.ingest.parsing.frames import ParseAnswer, ParseRequest, Refusal, pack, read_frame
from hitchpost.ingest.parsing.parse import parse_bytes

MAX_OPEN_FILES = 64


def main() -> None:
    """Answer requests until the input ends."""
    memory_bytes = int(sys.argv[1])
    _limit(memory_bytes)
    requests, answers = _take_streams()
    _send(answers, ParseAnswer(), b"")
    while (frame := read_frame(requests)) is not None:
        request = ParseRequest.model_validate_json(frame[0])
        _limit_cpu(request.cpu_seconds)
        answer, text = _answer(request, frame[1])
        answer.is_worn = _address_space_bytes() * 2 > memory_bytes
        _send(answers, answer, text)


def _limit(memory_bytes: int) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _address_space_bytes() -> int:
    """What RLIMIT_AS counts; 0 where the system doesn't tell it, as only Linux does."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _limit_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Input and output for frames alone: what a library reads or prints goes nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return requests, answers


def _answer(request: ParseRequest, data: bytes) -> tuple[ParseAnswer, bytes]:
    try:
        parsed = parse_bytes(
            data, request.mime_type, request.charset, request.max_text_characters, request.max_inflated_bytes
        )
        return _chunked(parsed, request)
    except BadRequestError as error:
        return _refused("bad_request", error.message)
    except UnsupportedError as error:
        return _refused("unsupported", error.message)
    except MemoryError:
        return _refused("bad_request", "parsing the document takes more memory than it may")
    except RecursionError:
        return _refused("bad_request", "the document is nested too deeply")
    except Exception as error:  # noqa: BLE001 - parsers raise anything at all for what is damaged; the host answers it
        return _refused("bad_request", f"the document is damaged, or no {request.mime_type}: {type(error).__name__}")


def _chunked(parsed: ParsedText, request: ParseRequest) -> tuple[ParseAnswer, bytes]:
    if len(parsed.text) > request.max_text_characters:
        raise BadRequestError(f"the document's text is longer than {request.max_text_characters:,} characters")
    settings = ChunkSettings(request.chunk_size, request.overlap, request.max_chunks, request.max_chunk_characters)
    cutting = cut(parsed, settings)
    used = {index: place for place, index in enumerate(sorted({s.heading for s in cutting.spans if s.heading >= 0}))}
    answer = ParseAnswer(
        spans=[(span.start, span.end, span.token_count, used.get(span.heading, -1)) for span in cutting.spans],
        headings=[parsed.headings[index].title for index in used],
        token_count=cutting.token_count,
    )
    return answer, parsed.text.encode()


def _refused(refusal: Refusal, message: str) -> tuple[ParseAnswer, bytes]:
    return ParseAnswer(refusal=refusal, message=message), b""


def _send(answers: BinaryIO, answer: ParseAnswer, text: bytes) -> None:
    answers.writelines(pack(answer, text))
    answers.flush()


if __name__ == "__main__":
    main()
