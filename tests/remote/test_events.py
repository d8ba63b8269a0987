import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.errors import BadBackendAnswerError
from hitchpost.remote import EventParser, LineSplitter, ServerEvent

line_bytes = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"n").replace(b"\r", b"r"))
cuts = st.lists(st.integers(0, 400), max_size=12)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    ends = [*sorted(at), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(line_bytes), cuts, st.sampled_from([b"\n", b"\r\n"]))
def test_lines_come_out_whole_whatever_the_pieces(lines: list[bytes], at: list[int], end: bytes) -> None:
    splitter = LineSplitter()

    seen = [line for piece in cut(b"".join(line + end for line in lines), at) for line in splitter.feed(piece)]

    assert seen == lines
    assert splitter.end() == []


@given(st.lists(line_bytes.filter(bool), min_size=1), cuts, st.sampled_from([b"\n", b"\r\n"]))
def test_events_come_out_whole_whatever_the_pieces(values: list[bytes], at: list[int], end: bytes) -> None:
    parser = EventParser()
    wire = b"".join(b"data: " + value + end + b": ping" + end + end for value in values)

    seen = [event for piece in cut(wire, at) for event in parser.feed(piece)]

    assert seen == [ServerEvent(value) for value in values]
    assert parser.end() == []


@given(st.binary(max_size=300), cuts)
def test_arbitrary_bytes_give_the_same_events_whatever_the_pieces(wire: bytes, at: list[int]) -> None:
    whole, pieces = EventParser(), EventParser()

    seen = [event for piece in cut(wire, at) for event in pieces.feed(piece)]

    assert [*seen, *pieces.end()] == [*whole.feed(wire), *whole.end()]


fragments = st.sampled_from(
    [b"data: ", b"data:", b"data: x", b"\n", b"\n\n", b"\r\n", b"x", b"event: e", b"error: e", b": c", b"\xef\xbb\xbf"]
)


@given(st.lists(fragments, max_size=20).map(b"".join))
def test_whatever_is_an_event_in_one_piece_is_one_byte_by_byte(wire: bytes) -> None:
    whole, pieces = EventParser(), EventParser()

    seen = [event for place in range(len(wire)) for event in pieces.feed(wire[place : place + 1])]

    assert [*seen, *pieces.end()] == [*whole.feed(wire), *whole.end()]


@given(st.binary(max_size=500), cuts, st.integers(1, 40))
def test_no_line_is_longer_than_the_bound(wire: bytes, at: list[int], bound: int) -> None:
    splitter = LineSplitter(bound)
    has_long_line = any(len(line) > bound for line in wire.split(b"\n"))
    try:
        lines = [line for piece in cut(wire, at) for line in splitter.feed(piece)]
    except BadBackendAnswerError:
        assert has_long_line
        return
    assert not has_long_line
    assert all(len(line) <= bound for line in lines)


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        pytest.param(b"data:x\n\n", [ServerEvent(b"x")], id="no space"),
        pytest.param(b"data:  x\n\n", [ServerEvent(b" x")], id="only one space belongs to the field"),
        pytest.param(b"data: a\ndata: b\n\n", [ServerEvent(b"a\nb")], id="several lines"),
        pytest.param(b"event: error\ndata: x\n\n", [ServerEvent(b"x", "error")], id="with a name"),
        pytest.param(b"event: ping\n\ndata: x\n\n", [ServerEvent(b"x")], id="the name of an empty event is dropped"),
        pytest.param(b"\xef\xbb\xbfdata: x\n\n", [ServerEvent(b"x")], id="byte order mark"),
        pytest.param(b'error: {"a":1}\n\n', [ServerEvent(b'{"a":1}', "error")], id="field error"),
        pytest.param(b"id: 7\nretry: 10\n<html>\n\n", [], id="other fields and garbage"),
        pytest.param(b"data\n\n", [ServerEvent(b"")], id="data without a value"),
    ],
)
def test_spelling(wire: bytes, events: list[ServerEvent]) -> None:
    assert EventParser().feed(wire) == events


def test_what_the_stream_ends_in_is_given_as_it_is() -> None:
    parser = EventParser()
    parser.feed(b'data: {"half')

    assert parser.end() == [ServerEvent(b'{"half')]


def test_an_event_of_many_lines_is_bounded() -> None:
    parser = EventParser(100)

    with pytest.raises(BadBackendAnswerError, match="an event of more than 100 bytes"):
        parser.feed(b"data: twenty characters..\n" * 20)
