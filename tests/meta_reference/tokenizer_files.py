"""Small tokenizers of each kind that Llama checkpoints come with, trained on a page of text."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind at all.",
    "Hello world! Hello there, how are you today? I'm fine, thank you; it's 2026 already.",
    '{"name": "weather", "parameters": {"city": "Oslo", "days": 12345}}\n\n\tdef f(x):\n        return x ** 2\n',
    "user assistant system You may call these functions. Environment: ipython Today Date: 21 Nov 2026",
    "Grüße aus Köln, où est l'été? Ça va, señor. Привет, мир! 你好，世界。 🙂👍🏽",
] * 4

# Text in which the libraries themselves would see special tokens is a matter of its own.
ORDINARY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(
    lambda text: re.search(r"<\||\|>|</?s>|<unk>", text) is None
)

LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|im_start|>",
    "<|im_end|>",
]


def byte_level(vocab_size: int = 480) -> Tokenizer:
    """As Llama 3's: bytes, split by a regular expression, a template that puts the begin in front."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(LLAMA3_SPECIAL)
    begin = LLAMA3_SPECIAL[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))]
    )
    return tokenizer


def metaspace(prepend_scheme: str | None, vocab_size: int = 480) -> Tokenizer:
    """As Llama 2's and TinyLlama's: words with their space in front, unknown characters as bytes.

    Args:
        prepend_scheme: of the pre-tokenizer; None: the older form, in which normalizers put the spaces.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    ends: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    if prepend_scheme is None:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=prepend_scheme, split=False)
        if prepend_scheme == "never":
            del ends[-1]
    tokenizer.decoder = decoders.Sequence(ends)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=vocab_size + 259, special_tokens=special, show_progress=False)
    )
    # Byte tokens belong to the vocabulary and are no added ones.
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [token for token in description["added_tokens"] if token["content"][1:2] != "0"]
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def write_tokenizer(
    folder: Path, tokenizer: Tokenizer, settings: dict[str, Any] | None = None, added: tuple[AddedToken, ...] = ()
) -> Path:
    """The folder, with `tokenizer.json` and, with these settings, `tokenizer_config.json`."""
    folder.mkdir(exist_ok=True)
    tokenizer.add_tokens([token for token in added if not token.special])
    tokenizer.add_special_tokens([token for token in added if token.special])
    tokenizer.save(str(folder / "tokenizer.json"))
    defaults = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(defaults | (settings or {})))
    return folder


def write_tiktoken(folder: Path) -> Path:
    """The folder, with `tokenizer.model` as Meta's Llama 3 has it: tokens in base64, each with its rank."""
    content = json.loads(byte_level().to_str())["model"]
    to_byte = _bytes_of_characters()
    tokens = sorted(content["vocab"], key=content["vocab"].__getitem__)
    lines = [
        base64.b64encode(bytes(to_byte[char] for char in token)) + f" {rank}".encode()
        for rank, token in enumerate(tokens)
    ]
    (folder / "tokenizer.model").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def write_sentencepiece(folder: Path) -> Path:
    """The folder, with `tokenizer.model` as Meta's Llama 2 has it."""
    import sentencepiece

    text = folder / "text"
    text.write_text("\n".join(line.replace("\n", " ") for line in TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=460,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return folder


def _bytes_of_characters() -> dict[str, int]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(rest)}
