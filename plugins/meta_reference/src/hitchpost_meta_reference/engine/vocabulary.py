"""What tokens mean to a reader: their bytes, and which of them say something to the engine only."""

from collections.abc import Callable, Collection, Mapping


class Vocabulary:
    """The tokens of one model.

    Args:
        token_bytes: the bytes that a token stands for; none for special tokens.
        special_tokens: spelling to id.
        has_space_prefix: whether the first word of an answer comes with a space in front that nobody meant.
    """

    def __init__(
        self, token_bytes: Callable[[int], bytes], special_tokens: Mapping[str, int], *, has_space_prefix: bool = False
    ) -> None:
        self._token_bytes = token_bytes
        self._spellings = {token: spelling.encode() for spelling, token in special_tokens.items()}
        self._special_tokens = special_tokens
        self._known: dict[int, bytes] = {}
        self.has_space_prefix = has_space_prefix
        self.end_of_message = special_tokens.get("<|eom_id|>")
        """The token that ends a message after which the model goes on, if there is one."""

    def text_bytes(self, token: int) -> bytes:
        """The token's part of the text; a special token has none."""
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = b"" if token in self._spellings else self._token_bytes(token)
        return known

    def spelling(self, token: int) -> bytes:
        """What stands for the token where single tokens are shown; a special one has its name."""
        return self._spellings.get(token) or self.text_bytes(token)

    def text_bytes_with(self, visible: Collection[str]) -> Callable[[int], bytes]:
        """`text_bytes`, but the special tokens with these names are text."""
        shown = {self._special_tokens[name] for name in visible if name in self._special_tokens}
        if not shown:
            return self.text_bytes
        return lambda token: self._spellings[token] if token in shown else self.text_bytes(token)


__all__ = ["Vocabulary"]
