"""Each kind of tokenizer file gives the ids that its library gives, and text never becomes a special token."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tiktoken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from hitchpost_meta_reference.engine.chat_template import SpecialText
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.tokenizer import Tokenizer, encode_prompt, load_tokenizer
from tests.meta_reference.tokenizer_files import (
    LLAMA3_SPECIAL,
    LLAMA3_SPLIT,
    ORDINARY_TEXT,
    byte_level,
    metaspace,
    write_sentencepiece,
    write_tiktoken,
    write_tokenizer,
)

KINDS: dict[str, Callable[[Path], Path]] = {
    "byte-level": lambda folder: write_tokenizer(folder, byte_level()),
    "spaces by normalizers": lambda folder: write_tokenizer(folder, metaspace(None)),
    "space in front of the first": lambda folder: write_tokenizer(folder, metaspace("first")),
    "space in front of each": lambda folder: write_tokenizer(folder, metaspace("always")),
    "no space in front": lambda folder: write_tokenizer(folder, metaspace("never")),
    "tiktoken": write_tiktoken,
    "sentencepiece": write_sentencepiece,
}
HUGGING_FACE = [kind for kind in KINDS if kind not in ("tiktoken", "sentencepiece")]

TEXTS = [
    pytest.param("", id="nothing"),
    pytest.param("Hello world!", id="words"),
    pytest.param("  two spaces  in  and around  ", id="spaces"),
    pytest.param("\n\n\tcode:\r\n    x = 1234567\n", id="lines"),
    pytest.param("Grüße, été, Привет, 你好, 🙂👍🏽\u200d", id="other scripts"),
    pytest.param("\x00\x01\x7f\u2028\ufeff\U0010ffff", id="odd characters"),
    pytest.param("▁low bars▁", id="low bars"),
    pytest.param("<0x41><unk>Ġ", id="what pieces are spelled with"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with each kind of tokenizer."""
    return {kind: write(tmp_path_factory.mktemp("tokenizer")) for kind, write in KINDS.items()}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def tokenizer(folders: dict[str, Path], kind: str) -> Tokenizer:
    """Each kind in turn."""
    return load_tokenizer(folders[kind])


@pytest.fixture(scope="module")
def library_ids(folders: dict[str, Path], kind: str) -> Callable[[str], list[int]]:
    """Ids of a text without specials, by the library alone."""
    folder = folders[kind]
    if kind == "sentencepiece":
        processor: Any = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return lambda text: list(processor.encode(text))
    if kind == "tiktoken":
        lines = [line.split() for line in (folder / "tokenizer.model").read_bytes().splitlines()]
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        encoding = tiktoken.Encoding("test", pat_str=LLAMA3_SPLIT, mergeable_ranks=ranks, special_tokens={})
        return lambda text: list(encoding.encode_ordinary(text))
    library = Library.from_file(str(folder / "tokenizer.json"))
    return lambda text: list(library.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_those_of_the_library(
    tokenizer: Tokenizer, library_ids: Callable[[str], list[int]], text: str
) -> None:
    # Here the library itself would take what spells a special token for one.
    plain = text.replace("<unk>", "")

    assert tokenizer.encode_text(plain) == library_ids(plain)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=ORDINARY_TEXT)
def test_ids_of_any_text_equal_those_of_the_library(
    tokenizer: Tokenizer, library_ids: Callable[[str], list[int]], text: str
) -> None:
    assert tokenizer.encode_text(text) == library_ids(text)


def decoded(tokenizer: Tokenizer, ids: list[int]) -> str:
    return b"".join(tokenizer.token_bytes(token) for token in ids).decode()


def is_text_of(tokenizer: Tokenizer, ids: list[int], text: str) -> bool:
    """Whether the tokens say the text, but for a space in front that nobody wrote, and for low bars, which are spaces to some."""
    said = decoded(tokenizer, ids)
    texts = [text, " " + text] if tokenizer.has_space_prefix else [text]
    return said in texts or said in [
        one.replace("▁", " ") for one in texts if tokenizer.encode_text("▁ ") == tokenizer.encode_text("  ")
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_of_the_tokens_are_the_text(tokenizer: Tokenizer, text: str) -> None:
    assert is_text_of(tokenizer, tokenizer.encode_text(text), text)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=ORDINARY_TEXT)
def test_bytes_of_the_tokens_are_the_text_whatever_it_is(tokenizer: Tokenizer, text: str) -> None:
    assert is_text_of(tokenizer, tokenizer.encode_text(text), text)


def test_text_that_spells_special_tokens_stays_text(tokenizer: Tokenizer) -> None:
    special = list(tokenizer.special_tokens)
    assert special

    ids = tokenizer.encode_text("a".join(["", *special, ""]))

    assert not set(ids) & set(tokenizer.special_tokens.values())
    assert is_text_of(tokenizer, ids, "a".join(["", *special, ""]))


def test_special_tokens_have_no_text(tokenizer: Tokenizer) -> None:
    assert {tokenizer.token_bytes(token) for token in tokenizer.special_tokens.values()} == {b""}


@pytest.mark.parametrize("token", [-1, 2**31 - 1], ids=["negative", "huge"])
def test_unknown_ids_have_no_text(tokenizer: Tokenizer, token: int) -> None:
    assert tokenizer.token_bytes(token) == b""


def test_padding_rows_of_the_vocabulary_have_no_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_bytes(tokenizer.vocab_size) == b""


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(ORDINARY_TEXT, min_size=1, max_size=4), begins_with_special=st.booleans())
@pytest.mark.parametrize("name", HUGGING_FACE)
def test_prompt_of_texts_and_special_tokens_equals_the_library(
    folders: dict[str, Path], name: str, texts: list[str], begins_with_special: bool
) -> None:
    tokenizer = load_tokenizer(folders[name])
    library = Library.from_file(str(folders[name] / "tokenizer.json"))
    special = sorted(tokenizer.special_tokens)[0]
    segments: list[str | SpecialText] = [SpecialText(special)] if begins_with_special else []
    for text in texts:
        segments += [text, SpecialText(special)]
    whole = "".join(segment if isinstance(segment, str) else segment.token for segment in segments)

    assert encode_prompt(tokenizer, segments) == library.encode(whole, add_special_tokens=False).ids


def test_special_token_that_the_tokenizer_lacks_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(CheckpointError, match=r"<\|nonsense\|>"):
        encode_prompt(tokenizer, [SpecialText("<|nonsense|>")])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" " * 100_000, id="spaces"),
        pytest.param("a" * 100_000, id="one letter"),
        pytest.param("\n" * 100_000, id="line ends"),
        pytest.param("ab1 .\n" * 30_000, id="a mixture"),
        pytest.param("é" * 50_000, id="letters of two bytes"),
    ],
)
@pytest.mark.timeout(60)
def test_long_runs_are_encoded_in_acceptable_time(tokenizer: Tokenizer, text: str) -> None:
    assert is_text_of(tokenizer, tokenizer.encode_text(text), text)


def test_runs_are_cut_only_where_they_are_too_long(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["tiktoken"])
    run = " " * 25_000

    assert tokenizer.encode_text(run * 2) == tokenizer.encode_text(run) * 2


class TestHuggingFaceFolder:
    """What the files beside `tokenizer.json` say."""

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            pytest.param({}, {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"}, id="nothing: those of Llama 3"),
            pytest.param(
                {"tokenizer_config.json": {"eos_token": "<|im_end|>"}},
                {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>"},
                id="settings",
            ),
            pytest.param(
                {"tokenizer_config.json": {"eos_token": {"content": "<|im_end|>"}}},
                {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>"},
                id="settings with an object",
            ),
            pytest.param(
                {
                    "generation_config.json": {"eos_token_id": ["<|im_end|>", "<|im_start|>"]},
                    "config.json": {"eos_token_id": "<|python_tag|>"},
                },
                {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|im_start|>", "<|python_tag|>"},
                id="model and generation config",
            ),
            pytest.param(
                {
                    "config.json": {"eos_token_id": None},
                    "generation_config.json": {"eos_token_id": [True, "zzzz", 1.5]},
                },
                {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"},
                id="nonsense",
            ),
        ],
    )
    def test_answers_end_with_what_any_of_them_names(
        self, tmp_path: Path, files: dict[str, dict[str, Any]], expected: set[str]
    ) -> None:
        library = byte_level()
        write_tokenizer(tmp_path, library)

        def as_ids(value: Any) -> Any:
            if isinstance(value, list):
                return [as_ids(part) for part in value]
            index = library.token_to_id(value) if isinstance(value, str) else None
            return value if index is None else index

        for name, content in files.items():
            ready = {key: as_ids(value) if key == "eos_token_id" else value for key, value in content.items()}
            (tmp_path / name).write_text(json.dumps(ready))

        assert load_tokenizer(tmp_path).eos_ids == {library.token_to_id(name) for name in expected}

    def test_begin_is_what_the_library_puts_in_front(self, tmp_path: Path) -> None:
        tokenizer = load_tokenizer(write_tokenizer(tmp_path, byte_level(), {"bos_token": LLAMA3_SPECIAL[0]}))

        assert tokenizer.bos_id == tokenizer.special_tokens[LLAMA3_SPECIAL[0]]

    def test_begin_that_is_only_named_is_not_put_in_front(self, tmp_path: Path) -> None:
        tokenizer = load_tokenizer(write_tokenizer(tmp_path, byte_level(), {"bos_token": "<|im_start|>"}))

        assert tokenizer.bos_id is None

    def test_begin_that_the_settings_ask_for_is_put_in_front(self, tmp_path: Path) -> None:
        settings_ = {"bos_token": "<|im_start|>", "add_bos_token": True}

        tokenizer = load_tokenizer(write_tokenizer(tmp_path, byte_level(), settings_))

        assert tokenizer.bos_id == tokenizer.special_tokens["<|im_start|>"]

    def test_added_tokens_that_are_not_special_are_text(self, tmp_path: Path) -> None:
        added = AddedToken("<think>", special=False, normalized=False)
        write_tokenizer(tmp_path, byte_level(), added=(added,))

        tokenizer = load_tokenizer(tmp_path)

        assert "<think>" not in tokenizer.special_tokens
        ids = tokenizer.encode_text("a<think>b")
        assert (
            ids == Library.from_file(str(tmp_path / "tokenizer.json")).encode("a<think>b", add_special_tokens=False).ids
        )
        assert len(ids) == 3
        assert decoded(tokenizer, ids) == "a<think>b"

    @pytest.mark.parametrize(
        ("spelling", "settings_"),
        [
            pytest.param("[END]", {"eos_token": "[END]"}, id="ends an answer"),
            pytest.param("[PAD]", {"pad_token": {"content": "[PAD]"}}, id="has a role"),
            pytest.param("[TOOL]", {"additional_special_tokens": ["[TOOL]"]}, id="special by the settings"),
            pytest.param("<|turn|>", {}, id="looks like one"),
        ],
    )
    def test_added_tokens_that_structure_a_prompt_are_special_whatever_the_file_says(
        self, tmp_path: Path, spelling: str, settings_: dict[str, Any]
    ) -> None:
        added = AddedToken(spelling, special=False, normalized=False)
        tokenizer = load_tokenizer(write_tokenizer(tmp_path, byte_level(), settings_, added=(added,)))

        assert tokenizer.special_tokens[spelling] not in tokenizer.encode_text(f"a{spelling}b")

    def test_added_token_whose_id_ends_answers_is_special(self, tmp_path: Path) -> None:
        added = AddedToken("[END]", special=False, normalized=False)
        write_tokenizer(tmp_path, byte_level(), added=(added,))
        end = Library.from_file(str(tmp_path / "tokenizer.json")).token_to_id("[END]")
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))

        tokenizer = load_tokenizer(tmp_path)

        assert tokenizer.encode_text("[END]") != [end]

    def test_what_the_last_training_cut_texts_to_cuts_no_prompt(self, tmp_path: Path) -> None:
        library = byte_level()
        library.enable_truncation(4)
        library.enable_padding(length=8)
        tokenizer = load_tokenizer(write_tokenizer(tmp_path, library))

        assert decoded(tokenizer, tokenizer.encode_text("The quick brown fox jumps")) == "The quick brown fox jumps"
        assert len(tokenizer.encode_text("a")) == 1


def ranks(*values: int) -> bytes:
    """Lines that give the 256 bytes these ranks."""
    return b"".join(base64.b64encode(bytes([byte])) + f" {rank}\n".encode() for byte, rank in enumerate(values))


class TestBrokenFiles:
    """They give a clear error and nothing else."""

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"{", id="cut JSON"),
            pytest.param(b"[]", id="a list"),
            pytest.param(b"null", id="null"),
            pytest.param(b"[" * 100_000, id="deep JSON"),
            pytest.param(b"\xff\xfe", id="no UTF-8"),
            pytest.param(b"{}", id="an empty object"),
            pytest.param(b'{"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}', id="merges of nothing"),
            pytest.param(b'{"model": {"type": "Nonsense"}}', id="an unknown model"),
            pytest.param(
                b'{"version":"1.0","added_tokens":5,"model":{"type":"BPE","vocab":{},"merges":[]}}',
                id="added tokens are a number",
            ),
            pytest.param(
                b'{"version":"1.0","added_tokens":[{"id":"x"}],"model":{"type":"BPE","vocab":{},"merges":[]}}',
                id="an added token without text",
            ),
        ],
    )
    def test_tokenizer_json(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "tokenizer.json").write_bytes(content)

        with pytest.raises(CheckpointError, match=r"tokenizer") as caught:
            load_tokenizer(tmp_path)
        assert str(tmp_path) not in str(caught.value)

    @pytest.mark.parametrize(
        "settings_", [b"{", b"[]", b'{"additional_special_tokens": 5}'], ids=["cut", "a list", "a number"]
    )
    def test_settings_beside_it(self, tmp_path: Path, settings_: bytes) -> None:
        write_tokenizer(tmp_path, byte_level())
        (tmp_path / "tokenizer_config.json").write_bytes(settings_)

        with pytest.raises(CheckpointError, match=r"tokenizer"):
            load_tokenizer(tmp_path)

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\x00\x01\x02", id="no protocol buffer"),
            pytest.param(b"version https://git-lfs.github.com/spec/v1\n", id="a pointer to a large file"),
            pytest.param(b"YQ== 0\nYQ==\n", id="a line without a rank"),
            pytest.param(b"YQ== 0\n!!!! 1\n", id="a line that is no base64"),
            pytest.param(b"YQ== 0\nYg== x\n", id="a rank that is no number"),
            pytest.param(ranks(*range(255), 256), id="a gap between the ranks"),
            pytest.param(ranks(*range(256)) + b"AA== 256\n", id="a token twice"),
            pytest.param(b"YQ== 0\nYg== 1\n", id="too few bytes to spell all text"),
        ],
    )
    def test_tokenizer_model(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "tokenizer.model").write_bytes(content)

        with pytest.raises(CheckpointError, match=r"tokenizer") as caught:
            load_tokenizer(tmp_path)
        assert str(tmp_path) not in str(caught.value)

    def test_none_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"neither tokenizer\.json nor tokenizer\.model"):
            load_tokenizer(tmp_path)

    def test_one_that_leads_elsewhere(self, tmp_path: Path) -> None:
        write_tokenizer(tmp_path / "elsewhere", byte_level())
        (tmp_path / "checkpoint").mkdir()
        (tmp_path / "checkpoint" / "tokenizer.json").symlink_to(tmp_path / "elsewhere" / "tokenizer.json")

        with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
            load_tokenizer(tmp_path / "checkpoint")


def test_meta_llama_3_has_its_special_tokens_where_they_belong(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["tiktoken"])
    base = tokenizer.vocab_size - 256

    names = (
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
    )
    assert [tokenizer.special_tokens[name] - base for name in names] == [0, 1, 6, 7, 8, 9, 10]
    assert tokenizer.bos_id == base
    assert tokenizer.eos_ids == {base + 1, base + 8, base + 9}


def test_meta_llama_2_begins_and_ends_as_its_model_file_says(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["sentencepiece"])

    assert tokenizer.special_tokens == {"<s>": 1, "</s>": 2}
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (1, {2})
