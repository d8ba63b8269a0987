"""Documents made to break whoever reads them: each is read or refused with a reason, and the next one is read as if nothing had been."""

import asyncio
import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitchpost.api import MemoryBankDocument
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.ingest import IngestConfig, IngestedDocument, Ingestor
from tests.ingest.conftest import LOG
from tests.ingest.made_documents import DOCX_TYPE, carried, changed_docx, document, docx_of, pdf_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOUND_PDF = pdf_of(["First page.", "Second page with more text."])
SOUND_DOCX = docx_of([("Heading 1", "Title"), ("Normal", "Text of a paragraph.")], [["a", "b"]])
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
LAUGHS = "<!DOCTYPE x [<!ENTITY a0 'ha'>{}]>".format(
    "".join(f"<!ENTITY a{level} '{f'&a{level - 1};' * 10}'>" for level in range(1, 12))
)


def body_of(content: str, before: str = "") -> bytes:
    return f'<?xml version="1.0"?>{before}<w:document xmlns:w="{WORD}"><w:body>{content}</w:body></w:document>'.encode()


async def outcome(
    ingestor: Ingestor, hostile: MemoryBankDocument
) -> IngestedDocument | BadRequestError | UnsupportedError:
    """What becomes of a document; any other error fails the test, and so does a next document that is not read."""
    try:
        found: IngestedDocument | BadRequestError | UnsupportedError = await ingestor.read(
            hostile, chunk_size=50, overlap=10
        )
    except (BadRequestError, UnsupportedError) as error:
        found = error
    after = await ingestor.read(carried(b"still here", "text/plain"), chunk_size=10)
    assert after.chunks[0].text == "still here"
    return found


async def test_zip_bomb_is_refused_without_being_inflated(ingestor: Ingestor) -> None:
    bomb = changed_docx({"word/media/bomb.bin": bytes(129 * 1024 * 1024)})

    found = await outcome(ingestor, carried(bomb))

    assert isinstance(found, BadRequestError)
    assert "inflates to more than" in found.message


async def test_zip_that_says_too_little_of_its_size_is_refused(ingestor: Ingestor) -> None:
    bomb = bytearray(changed_docx({"word/document.xml": body_of("<w:p/>" * 1_000_000)}))
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        size = archive.getinfo("word/document.xml").file_size.to_bytes(4, "little")
    lying = bomb.replace(size, (100).to_bytes(4, "little"))

    found = await outcome(ingestor, carried(bytes(lying)))

    assert isinstance(found, BadRequestError)
    assert "damaged" in found.message


async def test_zip_with_too_many_parts_is_refused(ingestor: Ingestor) -> None:
    found = await outcome(ingestor, carried(changed_docx({f"word/x{number}.xml": b"" for number in range(10_001)})))

    assert isinstance(found, BadRequestError)


@pytest.mark.parametrize("part", ["word/document.xml", "word/styles.xml", "[Content_Types].xml", "_rels/.rels"])
async def test_billion_laughs_in_a_docx_end_quickly(part: str, ingestor: Ingestor) -> None:
    laughing = body_of("<w:p><w:r><w:t>&a11;</w:t></w:r></w:p>", LAUGHS)

    found = await outcome(ingestor, carried(changed_docx({part: laughing})))

    assert isinstance(found, BadRequestError) or sum(len(chunk.text) for chunk in found.chunks) < 1000  # type: ignore[union-attr]


async def test_docx_does_not_read_files_of_the_machine(ingestor: Ingestor) -> None:
    entity = "<!DOCTYPE x [<!ENTITY file SYSTEM 'file:///etc/passwd'>]>"
    reading = body_of("<w:p><w:r><w:t>x&file;</w:t></w:r></w:p>", entity)

    found = await outcome(ingestor, carried(changed_docx({"word/document.xml": reading})))

    assert isinstance(found, BadRequestError) or "root:" not in found.chunks[0].text  # type: ignore[union-attr]


async def test_xml_with_a_billion_laughs_is_text_like_any_other(ingestor: Ingestor) -> None:
    found = await outcome(ingestor, carried(f"{LAUGHS}<x>&a11;</x>".encode(), "application/xml"))

    assert isinstance(found, IngestedDocument)


@pytest.mark.parametrize(
    "deep", ["<w:p>" * 50_000, "<w:tbl><w:tr><w:tc>" * 20_000, "<w:p><w:r>" * 5000 + "</w:r></w:p>" * 5000]
)
async def test_deep_docx_is_refused(deep: str, ingestor: Ingestor) -> None:
    assert isinstance(
        await outcome(ingestor, carried(changed_docx({"word/document.xml": body_of(deep)}))), BadRequestError
    )


async def test_docx_without_its_document_is_refused(ingestor: Ingestor) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")

    assert isinstance(await outcome(ingestor, carried(file.getvalue())), BadRequestError)


@pytest.mark.parametrize("tag", ["div", "table><tr><td", "li", "p", "nav", "pre", "h1", "main", "title"])
async def test_html_of_100_000_nested_elements_is_read(tag: str, ingestor: Ingestor) -> None:
    found = await outcome(ingestor, document(f"<p>before</p>{f'<{tag}>' * 100_000}deep", "text/html"))

    assert isinstance(found, IngestedDocument)
    assert found.chunks[0].text.startswith("deep" if tag == "main" else "before")


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<!--",
        "<a ",
        "<a b='",
        "&",
        "&#x",
        "<script>",
        "<![CDATA[",
        "</",
        "<!",
        "<?",
        "<p hidden>",
        "<h1>x",
        "\x00",
        "&nbsp;",
        "<td>",
        "<br>",
    ],
)
async def test_html_of_one_piece_again_and_again_is_read_quickly(piece: str, ingestor: Ingestor) -> None:
    found = await outcome(ingestor, document(piece * 30_000, "text/html"))

    assert isinstance(found, IngestedDocument)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(SOUND_PDF) - 1), st.integers(0, 255)), max_size=20),
    cuts=st.tuples(st.integers(0, len(SOUND_PDF)), st.integers(0, len(SOUND_PDF))),
)
async def test_damaged_pdf_is_read_or_refused(
    changes: list[tuple[int, int]], cuts: tuple[int, int], ingestor: Ingestor
) -> None:
    damaged = bytearray(SOUND_PDF)
    for place, value in changes:
        damaged[place] = value
    del damaged[min(cuts) : max(cuts) if changes else min(cuts)]

    await outcome(ingestor, carried(bytes(damaged), "application/pdf"))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, len(SOUND_DOCX) - 1), st.integers(0, 255)), min_size=1, max_size=20))
async def test_damaged_docx_is_read_or_refused(changes: list[tuple[int, int]], ingestor: Ingestor) -> None:
    damaged = bytearray(SOUND_DOCX)
    for place, value in changes:
        damaged[place] = value

    await outcome(ingestor, carried(bytes(damaged), DOCX_TYPE))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.binary(max_size=400),
    said=st.sampled_from(
        [
            "",
            "text/html",
            "text/plain; charset=utf-16",
            "text/csv",
            "application/json",
            "text/markdown",
            "application/pdf",
        ]
    ),
)
async def test_any_bytes_under_any_name_are_read_or_refused(data: bytes, said: str, ingestor: Ingestor) -> None:
    await outcome(ingestor, carried(data, said))


@pytest.mark.parametrize(
    "damaged",
    [
        b"%PDF-1.7",
        b"%PDF-1.4\n1 0 obj\n<< /Pages 1 0 R /Kids [1 0 R] /Type /Pages /Count 1 >>\nendobj\ntrailer << /Root 1 0 R >>",
        SOUND_PDF.replace(b"/Parent 2 0 R", b"/Parent 4 0 R"),
        SOUND_PDF.replace(b"/Kids [4 0 R 6 0 R]", b"/Kids [2 0 R 2 0 R]"),
        SOUND_PDF.replace(b"/Count 2", b"/Count 999999999"),
        SOUND_PDF.replace(b"/Length", b"/Filter [" + b"/FlateDecode " * 1000 + b"] /Length"),
        SOUND_PDF.replace(b"Type /Catalog", b"Type " + b"[" * 100_000),
    ],
    ids=["head", "own-root", "own-parent", "own-kids", "count", "filters", "deep"],
)
async def test_malformed_pdf_is_read_or_refused(damaged: bytes, ingestor: Ingestor) -> None:
    await outcome(ingestor, carried(damaged))


@pytest.mark.parametrize(
    ("text", "mime_type"),
    [
        ("[" * 200_000, "application/json"),
        ('{"a":' * 60_000, "application/json"),
        ('"' + '\\"' * 200_000, "application/json"),
        ("[" + "1," * 100_000, "application/json"),
        ("1" * 300_000, "application/json"),
        ('"' * 300_000, "text/csv"),
        ("," * 300_000, "text/csv"),
        ('"a\n' * 100_000, "text/csv"),
        ("#" * 300_000, "text/markdown"),
        ("# " * 200_000, "text/markdown"),
        ("```\n~~~\n" * 40_000, "text/markdown"),
        ("x\n=\n" * 40_000, "text/markdown"),
        (" " * 1_000_000 + "x", "text/plain"),
        ("\n" * 1_000_000 + "x", "text/plain"),
        (".!? " * 100_000, "text/plain"),
        ("x" * 300_000, "text/plain"),
        ("a\u0301" * 200_000, "text/plain"),
    ],
)
async def test_text_made_to_take_long_is_read_within_the_time_limit(
    text: str, mime_type: str, ingestor: Ingestor
) -> None:
    found = await ingestor.read(document(text, mime_type), chunk_size=500, overlap=50)

    # What is quadratic in so many characters would take longer than the limit, which refuses it.
    assert found.token_count > 0


async def test_control_characters_and_halves_of_characters_are_left_out(ingestor: Ingestor) -> None:
    text = "one\x00two\x1b[0m three\ud800 \x7f\u0085four\n\tfive"

    found = await ingestor.read(document(text), chunk_size=None)

    assert found.chunks[0].text == "onetwo[0m three\ufffd \u0085four\n\tfive"


async def test_zeros_among_the_bytes_of_a_text_are_left_out(ingestor: Ingestor) -> None:
    data = b"a\x00b " + b"and a longer text that is sound. " * 4

    found = await ingestor.read(carried(data, "text/plain"), chunk_size=None)

    assert found.chunks[0].text.startswith("ab and a longer")


async def test_right_to_left_text_and_emoji_stay_as_they_are(ingestor: Ingestor) -> None:
    text = "שלום עולם \u202eمرحبا\u202c 👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301"

    found = await ingestor.read(carried(f"<p>{text}</p>".encode(), "text/html"), chunk_size=None)

    assert found.chunks[0].text == text


@pytest.mark.parametrize("mime_type", ["text/plain", "text/html", "text/markdown", "text/csv", "application/json", ""])
@pytest.mark.parametrize("data", [b"", b"  \n\t "], ids=["empty", "space"])
async def test_empty_document_has_no_chunks(data: bytes, mime_type: str, ingestor: Ingestor) -> None:
    found = await ingestor.read(carried(data, mime_type), chunk_size=10)

    assert (found.chunks, found.token_count) == ((), 0)


async def test_empty_text_that_is_not_cut_is_one_empty_chunk(ingestor: Ingestor) -> None:
    found = await ingestor.read(document(""), chunk_size=None)

    assert [(chunk.text, chunk.token_count) for chunk in found.chunks] == [("", 0)]


@pytest.mark.parametrize(
    ("config", "hostile", "reason"),
    [
        ({"max_text_characters": 100}, document("x" * 101), "longer than 100 characters"),
        ({"max_text_characters": 100}, carried(b"x" * 101), "longer than 100 characters"),
        ({"max_text_characters": 100}, document("<p>" + "x" * 99 + "<p>y", "text/html"), "longer than 100 characters"),
        ({"max_document_bytes": 100}, carried(b"x" * 101), "larger than 100 bytes"),
        ({"max_chunks": 10}, document("word " * 101), "more than 10 chunks"),
        ({"max_chunks": 10}, carried(b"word " * 101), "more than 10 chunks"),
    ],
)
async def test_limits_of_the_config_are_kept(config: dict[str, int], hostile: MemoryBankDocument, reason: str) -> None:
    limited = Ingestor(IngestConfig(**config), LOG)  # type: ignore[arg-type]

    with pytest.raises(BadRequestError, match=reason):
        await limited.read(hostile, chunk_size=10)

    await limited.stop()


async def test_ten_thousand_documents_at_once_are_read_while_others_have_their_turn(ingestor: Ingestor) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.create_task(others())
    read = [ingestor.read(document(f"Document {number}. " * 5), chunk_size=10) for number in range(10_000)]

    found = await asyncio.gather(*read)

    busy.cancel()
    assert sum(each.token_count for each in found) > 100_000
    assert turns > 1


async def test_documents_in_a_row_let_others_have_their_turn(ingestor: Ingestor) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.create_task(others())
    for number in range(2_000):
        await ingestor.read(document(f"Document {number}."), chunk_size=10)

    busy.cancel()
    assert turns >= 1_999
