from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hitchpost.api import URL, ImageMedia, InterleavedContent, content_items, content_text

CONTENT: TypeAdapter[Any] = TypeAdapter(InterleavedContent)
URI = "https://example.org/a.png"


@pytest.mark.parametrize(
    "uri", ["http://a", "https://a", "HTTPS://a", "file:///a", "data:,a", "data:image/png;base64,AA"]
)
@pytest.mark.parametrize("form", [lambda uri: {"uri": uri}, lambda uri: uri], ids=["object", "bare string"])
def test_image_takes_a_url_in_both_spellings(form: Any, uri: str) -> None:
    assert CONTENT.validate_python({"image": form(uri)}) == ImageMedia(image=URL(uri=uri))


@pytest.mark.parametrize(
    "uri",
    ["", "a.png", "ftp://a", "javascript:alert(1)", " https://a", "x https://a", "\nhttps://a", 7, None, ["https://a"]],
)
def test_other_schemes_and_things_are_no_url(uri: Any) -> None:
    with pytest.raises(ValidationError):
        CONTENT.validate_python({"image": {"uri": uri}})


@pytest.mark.parametrize("content", [7, None, {"text": "a"}, [["a"]], [7], {"image": None}, True])
def test_anything_else_is_no_content(content: Any) -> None:
    with pytest.raises(ValidationError):
        CONTENT.validate_python(content)


def test_string_that_looks_like_a_url_is_text() -> None:
    assert CONTENT.validate_python(URI) == URI


def test_items_come_in_their_order_and_a_single_one_is_a_list_of_one() -> None:
    image = ImageMedia(image=URL(uri=URI))

    assert content_items("a") == ["a"]
    assert content_items(image) == [image]
    assert content_items(["a", image, ""]) == ["a", image, ""]


@pytest.mark.parametrize(
    ("content", "text"),
    [("a", "a"), (["a", "b"], "a b"), (["see", {"image": URI}], "see <media>"), ({"image": URI}, "<media>"), ([], "")],
)
def test_text_has_a_mark_where_an_image_is(content: Any, text: str) -> None:
    assert content_text(CONTENT.validate_python(content)) == text


def test_text_is_joined_by_any_separator() -> None:
    assert content_text(["a", "b"], "\n") == "a\nb"
