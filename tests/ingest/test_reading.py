"""Documents of every type are read as what they are, under the names that they give their parts."""

import pytest

from hitchpost.api import URL, ImageMedia, MemoryBankDocument
from hitchpost.errors import BadRequestError, RequestTooLargeError, UnsupportedError
from hitchpost.ingest import Ingestor
from tests.ingest.made_documents import DOCX_TYPE, carried, document, docx_of, pdf_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """<!DOCTYPE html><html><head><title>Guide</title><style>p {}</style><script>alert("x<p>")</script></head>
<body><nav><a href="/">Home</a></nav><p hidden>unseen</p><h1>First  <em>steps</em></h1><p>Hello <b>wor</b>ld,<br>and you &amp; me.</p>
<ul><li>one<li>two</ul><table><tr><th>a<th>b<tr><td>1<td>2</table><pre>  kept
    so</pre><h2>Next</h2>The&nbsp;end<img alt="of all"></body>"""
PAGE_TEXT = (
    "First steps\n\nHello world,\nand you & me.\n\none\ntwo\n\na | b\n1 | 2\n\n  kept\n    so\n\nNext\n\nThe end of all"
)


async def text_of(ingestor: Ingestor, read: MemoryBankDocument) -> str:
    """The whole text of a document."""
    (chunk,) = (await ingestor.read(read, chunk_size=None)).chunks
    return chunk.text


async def test_plain_text_is_read_as_it_is(ingestor: Ingestor) -> None:
    found = await ingestor.read(document("One two.\r\n  Three."), chunk_size=None)

    assert (found.mime_type, found.token_count) == ("text/plain", 5)
    assert [(chunk.text, chunk.token_count, chunk.position, chunk.heading) for chunk in found.chunks] == [
        ("One two.\r\n  Three.", 5, 0, None)
    ]


async def test_several_texts_are_one_document(ingestor: Ingestor) -> None:
    read = MemoryBankDocument(document_id="d", content=["One.", "Two."])

    assert await text_of(ingestor, read) == "One.\nTwo."


async def test_chunks_are_numbered_and_overlap_as_asked(ingestor: Ingestor) -> None:
    found = await ingestor.read(document("One two. Three four. Five six. Seven eight."), chunk_size=6, overlap=3)

    assert [(chunk.position, chunk.text) for chunk in found.chunks] == [
        (0, "One two. Three four."),
        (1, "Three four. Five six."),
        (2, "Five six. Seven eight."),
    ]
    assert found.token_count == 12


async def test_metadata_that_are_too_large_to_be_kept_are_refused(ingestor: Ingestor) -> None:
    asked = MemoryBankDocument(document_id="d", content="text", metadata={"long": "x" * 65_536})

    with pytest.raises(RequestTooLargeError, match="metadata have more than 65,536 characters") as refused:
        await ingestor.read(asked, chunk_size=None)

    assert refused.value.param == "metadata"


async def test_long_text_is_read_like_a_short_one(ingestor: Ingestor) -> None:
    text = "# Title\n\n" + "One two three. " * 5000

    found = await ingestor.read(document(text, "text/markdown"), chunk_size=400, overlap=40)

    assert "".join(chunk.text for chunk in found.chunks).startswith("# Title\n\nOne two three.")
    assert {chunk.heading for chunk in found.chunks} == {"Title"}
    assert found.token_count == 20_002


async def test_markdown_has_headings_of_both_forms_but_none_in_code(ingestor: Ingestor) -> None:
    text = "# A #\n\none\n\n```sh\n# no heading\n```\n\nB and C\n=======\n\ntwo\n\n    # nor this\n\n### D#\nthree"

    found = await ingestor.read(document(text, "text/markdown"), chunk_size=4)

    assert [chunk.heading for chunk in found.chunks if chunk.text.startswith(("# A", "B and", "### D"))] == [
        "A",
        "B and C",
        "D#",
    ]
    assert {chunk.heading for chunk in found.chunks} == {"A", "B and C", "D#"}


async def test_html_is_read_as_people_do(ingestor: Ingestor) -> None:
    assert await text_of(ingestor, document(PAGE, "text/html")) == PAGE_TEXT


async def test_html_has_headings_and_its_title_before_the_first(ingestor: Ingestor) -> None:
    page = "<title>Guide</title><p>one two three</p><h2>Next  part</h2><p>four five six</p>"

    found = await ingestor.read(document(page, "text/html"), chunk_size=5)

    assert [(chunk.heading, chunk.text) for chunk in found.chunks] == [
        ("Guide", "one two three"),
        ("Next part", "Next part\n\nfour five six"),
    ]


async def test_of_a_page_with_a_main_part_only_that_is_read(ingestor: Ingestor) -> None:
    page = "<body><div>advert</div><main><h1>News</h1><p>text</p></main><footer>imprint</footer></body>"

    assert await text_of(ingestor, document(page, "text/html")) == "News\n\ntext"


async def test_pdf_is_read_page_by_page(ingestor: Ingestor) -> None:
    found = await ingestor.read(carried(pdf_of(["First page here.", "Second one.", "Third."])), chunk_size=4)

    assert found.mime_type == "application/pdf"
    assert [(chunk.heading, chunk.text) for chunk in found.chunks] == [
        ("page 1", "First page here."),
        ("page 2", "Second one."),
        ("page 3", "Third."),
    ]


async def test_pdf_without_text_says_that_there_are_only_images(ingestor: Ingestor) -> None:
    with pytest.raises(BadRequestError, match="holds no text"):
        await ingestor.read(carried(pdf_of([""])), chunk_size=10)


async def test_docx_is_read_with_headings_and_tables(ingestor: Ingestor) -> None:
    made = docx_of(
        [("Title", "Report"), ("Normal", "Intro."), ("Heading 1", "Part"), ("Normal", "Body.")],
        [["a", "b"], ["c", "d"]],
    )

    found = await ingestor.read(carried(made), chunk_size=4)

    assert found.mime_type == DOCX_TYPE
    assert "\n\n".join(chunk.text for chunk in found.chunks).split() == [
        "Report",
        "Intro.",
        "Part",
        "Body.",
        "a",
        "|",
        "b",
        "c",
        "|",
        "d",
    ]
    assert [chunk.heading for chunk in found.chunks][:2] == ["Report", "Part"]


async def test_csv_has_its_columns_names_as_heading(ingestor: Ingestor) -> None:
    found = await ingestor.read(document("name,age\nAda,36\nAlan,41\n", "text/csv"), chunk_size=4)

    assert [(chunk.heading, chunk.text) for chunk in found.chunks] == [
        (None, "name,age"),
        ("name,age", "Ada,36"),
        ("name,age", "Alan,41"),
    ]


async def test_json_is_unescaped_and_loses_nothing(ingestor: Ingestor) -> None:
    packed = '{"k":"\\u00e9\\ud83d\\ude00","k":[1.50000000000000000001,null,{}],"t":"a, \\"b\\" {"}'

    found = await ingestor.read(document(packed, "application/json"), chunk_size=1000)

    assert found.chunks[
        0
    ].text == '{\n"k":"é😀",\n"k":[\n1.50000000000000000001,\nnull,\n{}],\n"t":"a, \\"b\\" {"}'.replace("{}", "{\n}")


async def test_json_that_is_not_cut_stays_as_it_is(ingestor: Ingestor) -> None:
    assert await text_of(ingestor, document('{"k":"\\u00e9"}', "application/json")) == '{"k":"\\u00e9"}'


async def test_source_code_is_read_as_it_is(ingestor: Ingestor) -> None:
    code = "def f(x):\n\treturn x  # 1\n"

    found = await ingestor.read(carried(code.encode(), "text/x-python"), chunk_size=None)

    assert (found.mime_type, found.chunks[0].text) == ("text/x-python", code)


@pytest.mark.parametrize(
    ("data", "said", "given", "mime_type"),
    [
        (pdf_of(["text"]), "text/plain", "text/html", "application/pdf"),
        (b"<!doctype HTML><p>x", "", None, "text/html"),
        (b"<p>x", "text/html; charset=utf-8", None, "text/html"),
        (b"# x", "application/octet-stream", "text/markdown", "text/markdown"),
        (b"x", "application/octet-stream", None, "text/plain"),
        (b"a,b", "application/csv", None, "text/csv"),
        (b"{}", "application/vnd.api+json", None, "application/vnd.api+json"),
    ],
)
async def test_type_is_what_the_bytes_show_else_what_is_said(
    data: bytes, said: str, given: str | None, mime_type: str, ingestor: Ingestor
) -> None:
    found = await ingestor.read(carried(data, said, given), chunk_size=100)

    assert found.mime_type == mime_type


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", ""),
        (b"\x89PNG\r\n\x1a\n", "text/plain"),
        (b"PK\x03\x04 xl/workbook.xml", ""),
        (b"\xd0\xcf\x11\xe0 old", "application/msword"),
        (b"text", "image/svg+xml"),
        (b"text", "video/mp4"),
        (bytes(range(256)) * 8, "text/plain"),
        (b"{\\rtf1 x}", "text/rtf"),
    ],
)
async def test_what_cannot_be_read_is_unsupported(data: bytes, said: str, ingestor: Ingestor) -> None:
    with pytest.raises(UnsupportedError):
        await ingestor.read(carried(data, said), chunk_size=100)


@pytest.mark.parametrize("mime_type", ["application/pdf", DOCX_TYPE])
async def test_what_is_not_of_the_type_it_is_said_to_be_is_refused(mime_type: str, ingestor: Ingestor) -> None:
    with pytest.raises(BadRequestError, match="but is none"):
        await ingestor.read(carried(b"just text", mime_type), chunk_size=100)


async def test_pdf_as_text_says_how_to_send_it(ingestor: Ingestor) -> None:
    with pytest.raises(BadRequestError, match="data:application/pdf;base64"):
        await ingestor.read(document("%PDF-1.4 ...", "application/pdf"), chunk_size=100)


async def test_image_is_unsupported(ingestor: Ingestor) -> None:
    image = ImageMedia(image=URL(uri="data:image/png;base64,AA=="))

    with pytest.raises(UnsupportedError, match="images"):
        await ingestor.read(MemoryBankDocument(document_id="d", content=["text", image]), chunk_size=100)


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, 11), (10, -1)])
async def test_overlap_that_does_not_go_with_the_size_is_refused(size: int, overlap: int, ingestor: Ingestor) -> None:
    with pytest.raises(BadRequestError, match="overlap"):
        await ingestor.read(document("text"), chunk_size=size, overlap=overlap)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("data:,hello%20world", "hello world"),
        ("DATA:text/plain;charset=utf-8,%C3%A9", "é"),
        ("data:text/plain;charset=latin1;base64,6Q==", "é"),
        ("data:;base64,aGVs%0AbG8", "hello"),
        ("data:text/plain;base64,w7_Drw", "ÿï"),
    ],
)
async def test_data_url_carries_a_document(url: str, text: str, ingestor: Ingestor) -> None:
    assert await text_of(ingestor, document(url)) == text


@pytest.mark.parametrize("url", ["data:text/plain", "data:;base64,a", "data:;base64,$$$$"])
async def test_malformed_data_url_is_refused(url: str, ingestor: Ingestor) -> None:
    with pytest.raises(BadRequestError, match="data: URL"):
        await ingestor.read(document(url), chunk_size=10)


TEXT = "Ñandú, œuvre – “naïve” façade. Ελλάδα."


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TEXT.encode(), ""),
        (TEXT.encode("utf-8-sig"), "text/plain"),
        (TEXT.encode("utf-16"), "text/plain"),
        (TEXT.encode("utf-32"), "text/plain"),
        (TEXT.encode("utf-8"), "text/plain; charset=iso-8859-1"),
        (TEXT.encode("utf-8"), "text/plain; charset=no-such-one"),
        (TEXT.encode("utf-8"), "text/plain; charset=rot13"),
        (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16-le"),
    ],
)
async def test_charset_is_found_whatever_is_said(data: bytes, said: str, ingestor: Ingestor) -> None:
    assert await text_of(ingestor, carried(data, said)) == TEXT


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.", "windows-1251"),
        ("いろはにほへと ちりぬるを わかよたれそ", "shift_jis"),
        ("いろはにほへと ちりぬるを", "iso-2022-jp"),
        ("Größe und Maß", "iso-8859-1"),
    ],
)
async def test_declared_charset_is_believed_where_it_fits(text: str, charset: str, ingestor: Ingestor) -> None:
    assert await text_of(ingestor, carried(text.encode(charset), f"text/plain; charset={charset}")) == text


async def test_charset_is_detected_where_none_is_said(ingestor: Ingestor) -> None:
    text = "Съешь же ещё этих мягких французских булок, да выпей же чаю. " * 20

    assert await text_of(ingestor, carried(text.encode("windows-1251"), "text/plain")) == text


async def test_charset_that_a_page_declares_is_read(ingestor: Ingestor) -> None:
    page = '<html><head><meta charset="koi8-r"></head><p>Привет</p>'

    assert await text_of(ingestor, carried(page.encode("koi8-r"), "text/html")) == "Привет"
