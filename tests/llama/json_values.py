"""Strategies for the arguments of tool calls."""

from hypothesis import strategies as st

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["it's", 'say "x"', "a\\b", "</function>", "<|python_tag|>", "[f(a=1)]", "}", "\n", "{'a'"]
)
_scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)

json_values = st.recursive(
    _scalars | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)

argument_objects = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,8}", fullmatch=True), json_values, max_size=4
)
"""JSON objects with keys that are names, and values of any depth."""
