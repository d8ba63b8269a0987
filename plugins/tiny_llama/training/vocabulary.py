"""The tokenizer of tiny-llama: byte-level BPE learnt from the corpus, with the special tokens of Llama 3."""

import random
from collections.abc import Iterable, Sequence

from corpus import Message
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCABULARY_SIZE = 2048
BEGIN, END, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>"
HEADER_START, HEADER_END = "<|start_header_id|>", "<|end_header_id|>"
END_OF_MESSAGE, END_OF_TURN, PYTHON_TAG = "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"
SPECIAL_TOKENS = (BEGIN, END, PAD, HEADER_START, HEADER_END, END_OF_MESSAGE, END_OF_TURN, PYTHON_TAG)
IGNORED = -100  # the label of a token that the loss leaves out

# Llama 3 splits text by this expression before BPE joins bytes inside each part.
_PARTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NOISE = 0.03  # share of the tokens of a question that are replaced, against learning wordings by heart


def learn_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Return a byte-level BPE tokenizer of `VOCABULARY_SIZE` tokens; encoding begins with `BEGIN` unless told not to."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PARTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return tokenizer


class Encoder:
    """Turns conversations and texts into token ids with labels, where only what the model should say is a label."""

    def __init__(self, tokenizer: Tokenizer, noise: random.Random | None = None) -> None:
        self._tokenizer = tokenizer
        self._noise = noise
        self._plain_ids = VOCABULARY_SIZE - len(SPECIAL_TOKENS)

    def conversation(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Return ids and labels of a conversation, exactly as the chat template lays it out."""
        ids = [self._id(BEGIN)]
        labels = [IGNORED]
        for message in messages:
            header = [self._id(HEADER_START), *self._ids(message["role"]), self._id(HEADER_END), *self._ids("\n\n")]
            content = self._ids(message["content"])
            is_answer = message["role"] == "assistant"
            if message["role"] == "user" and self._noise:
                content = [self._noisy(token, self._noise) for token in content]
            body = [*content, self._id(END_OF_TURN)]
            ids += header + body
            labels += [IGNORED] * len(header) + (body if is_answer else [IGNORED] * len(body))
        return ids, labels

    def plain_text(self, text: str) -> tuple[list[int], list[int]]:
        """Return ids and labels of a text to continue; all of it is a label."""
        body = [*self._ids(text), self._id(END)]
        return [self._id(BEGIN), *body], [IGNORED, *body]

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}")
        return int(found)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _noisy(self, token: int, noise: random.Random) -> int:
        return noise.randrange(self._plain_ids) if noise.random() < _NOISE else token
