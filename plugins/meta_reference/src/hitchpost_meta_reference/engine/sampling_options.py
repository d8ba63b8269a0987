"""How the next token of a sequence is chosen. Knows no tensor, so that the host can use it too."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """The neutral value of each field changes nothing.

    Raises:
        ValueError: a field is out of its range; the message names it.
    """

    temperature: float = 1.0
    """0 takes the most likely token."""
    top_p: float = 1.0
    """Nucleus sampling (Holtzman et al., 2019): the likeliest tokens that together have this probability."""
    top_k: int = 0
    """0: no limit."""
    repetition_penalty: float = 1.0
    """Of tokens in prompt and answer (Keskar et al., "CTRL", 2019): positive logits are divided by it, negative ones multiplied."""
    presence_penalty: float = 0.0
    """Taken from the logit of each token that the answer has, as OpenAI documents it."""
    frequency_penalty: float = 0.0
    """The same, for each time that the answer has it."""
    logit_bias: dict[int, float] = field(default_factory=dict)
    """Added to the logits of these tokens."""
    seed: int = 0
    top_logprobs: int | None = None
    """How many of the likeliest tokens are reported beside the chosen one; None: no log probabilities at all."""

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("temperature", 0.0, 100.0),
            ("top_p", 0.0, 1.0),
            ("top_k", 0, 2**31),
            ("repetition_penalty", 0.01, 100.0),
            ("presence_penalty", -2.0, 2.0),
            ("frequency_penalty", -2.0, 2.0),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}; it must be between {lowest} and {highest}")
        for token, bias in self.logit_bias.items():
            if token < 0 or not -100.0 <= bias <= 100.0:
                raise ValueError(
                    f"logit_bias of token {token} is {bias}; it must be between -100 and 100, of a token from 0 on"
                )
        if self.top_logprobs is not None and not 0 <= self.top_logprobs <= 20:
            raise ValueError(f"top_logprobs is {self.top_logprobs}; it must be between 0 and 20")

    @property
    def changes_logits(self) -> bool:
        """Whether the logits depend on what was said before, or on a bias."""
        return bool(
            self.repetition_penalty != 1.0 or self.presence_penalty or self.frequency_penalty or self.logit_bias
        )


__all__ = ["SamplingOptions"]
