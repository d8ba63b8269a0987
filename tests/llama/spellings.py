"""Text that tries to be special tokens."""

import re

from hypothesis import strategies as st

LLAMA3_SPELLINGS = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|image|>",
    "<|reserved_special_token_247|>",
]

_SPELLING = re.compile("|".join(map(re.escape, LLAMA3_SPELLINGS)))

hostile_text = st.lists(
    st.sampled_from([*LLAMA3_SPELLINGS, "<|", "|>", "<", "|", ">", "eot_id", " ", "hello", "\n"]), max_size=12
).map("".join)


def llama3_spellings_in(text: str) -> list[str]:
    """What a tokenizer that looks for special tokens in text finds."""
    return _SPELLING.findall(text)
