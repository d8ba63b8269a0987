"""Texts become tokens up to the model's limit, however long they are."""

import pytest

from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.text_reader import (
    INLINE_CHARS,
    CheckpointTexts,
    Encode,
    Tokens,
    beginning,
    encoder_encoding,
)
from tests.meta_reference.minilm import MAX_TOKENS, minilm_folder

LONG = "Ships sail from Bremen to Oslo in 1887; naïve captains, too. " * 40


@pytest.fixture(scope="module")
def encode() -> Encode:
    """The tokenizer of MiniLM."""
    return encoder_encoding(minilm_folder(), MAX_TOKENS, lowercases=False)


@pytest.fixture
def texts(encode: Encode) -> CheckpointTexts:
    return CheckpointTexts(encode, max_tokens=MAX_TOKENS, vocabulary_size=30522)


def words(some: list[str]) -> list[Tokens]:
    """A tokenizer whose tokens are the lengths of words, four at most."""
    return [tuple(len(word) for word in text.split())[:4] for text in some]


async def test_texts_stand_between_special_tokens(texts: CheckpointTexts) -> None:
    assert await texts.read(["hello world", ""]) == [(101, 7592, 2088, 102), (101, 102)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LONG, id="many words"),
        pytest.param("東京は高い" * 2000, id="no spaces"),
        pytest.param(" " * 10_000 + LONG, id="spaces first"),
        pytest.param("x" * 10_000 + " " + LONG, id="an endless word first"),
        pytest.param("a b" * 5000, id="short words"),
    ],
)
async def test_beginning_of_a_long_text_has_the_tokens_of_the_whole(
    text: str, encode: Encode, texts: CheckpointTexts
) -> None:
    assert len(text) > 2000
    padding = ["y" * INLINE_CHARS]

    assert (await texts.read([text, *padding]))[0] == encode([text])[0]


async def test_many_texts_keep_their_order(texts: CheckpointTexts, encode: Encode) -> None:
    many = [f"number {number} {LONG[:200]}" for number in range(200)]

    assert await texts.read(many) == encode(many)


async def test_endless_text_is_read_up_to_a_limit(texts: CheckpointTexts) -> None:
    [tokens] = await texts.read(["zq" * 5_000_000])

    assert tokens == (101, 100, 102)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        pytest.param("", BadRequestError, "contents.1 is empty", id="no token"),
        pytest.param("incomprehensibility", UnsupportedError, "contents.1 has token 19", id="unknown token"),
    ],
)
async def test_text_is_refused(text: str, error: type[Exception], message: str) -> None:
    texts = CheckpointTexts(words, max_tokens=4, vocabulary_size=10)

    with pytest.raises(error, match=message):
        await texts.read(["fine", text])


async def test_no_texts_are_refused() -> None:
    with pytest.raises(BadRequestError, match="no text"):
        await CheckpointTexts(words, max_tokens=4, vocabulary_size=10).read([])


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        pytest.param("short", "short", id="short"),
        pytest.param("0123456789 12 45", "0123456789", id="at a space"),
        pytest.param("0123456789" * 3, "0123456789" * 2, id="without a space"),
    ],
)
def test_beginning_of_a_text(text: str, cut: str) -> None:
    assert beginning(text, 10) == cut


def test_lower_case_is_made_where_the_checkpoint_says_so() -> None:
    encode = encoder_encoding(minilm_folder(), 16, lowercases=True)

    assert encode(["HELLO"]) == encode(["hello"])


def test_tokenizer_that_can_not_be_read_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(CheckpointError, match="tokenizer can't be read"):
        encoder_encoding(folder, 16, lowercases=False)
