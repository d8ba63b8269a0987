"""From logits to tokens. A sequence's tokens follow from its own logits and seed alone, whatever else is in the batch."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hitchpost_meta_reference.engine.sampling_options import SamplingOptions

FEW = 256
"""So many of the likeliest tokens are tried before the whole vocabulary is sorted."""


@dataclass(slots=True)
class Sampled:
    """A chosen token; `logprob` and `top` (token, logprob) are natural logarithms under the model's raw distribution, where asked for."""

    token: int
    logprob: float = 0.0
    top: list[tuple[int, float]] = field(default_factory=list)


class SamplingState:
    """What choosing the next token of one sequence depends on, besides the logits.

    Args:
        options: as asked for.
        prompt: token ids, for the repetition penalty.
    """

    def __init__(self, options: SamplingOptions, prompt: Iterable[int] = ()) -> None:
        self.options = options
        self.answer: Counter[int] = Counter()
        self._seen = set(prompt) if options.repetition_penalty != 1.0 else set()
        # Python's generator and not the device's: the same draws on every device and in every batch.
        self._random = random.Random(options.seed)  # noqa: S311 - nothing secret depends on it

    def draw(self) -> float:
        """The next number of the sequence's own, uniform in [0, 1)."""
        return self._random.random()

    def accept(self, token: int) -> None:
        """The token becomes part of the answer."""
        if self.options.changes_logits:
            self.answer[token] += 1
            self._seen.add(token)

    def adjust(self, logits: Tensor) -> Tensor:
        """The logits, shape (vocab,), after penalties and biases; a copy where anything changes."""
        options = self.options
        if not options.changes_logits:
            return logits
        logits = logits.clone()
        size, device = logits.shape[0], logits.device
        if options.repetition_penalty != 1.0 and self._seen:
            seen = torch.tensor([token for token in self._seen if token < size], device=device)
            values = logits[seen]
            logits[seen] = torch.where(
                values > 0, values / options.repetition_penalty, values * options.repetition_penalty
            )
        if (options.presence_penalty or options.frequency_penalty) and self.answer:
            tokens = torch.tensor(list(self.answer), device=device)
            counts = torch.tensor(list(self.answer.values()), device=device, dtype=logits.dtype)
            logits[tokens] -= options.presence_penalty + options.frequency_penalty * counts
        known = {token: bias for token, bias in options.logit_bias.items() if 0 <= token < size}
        if known:
            logits[torch.tensor(list(known), device=device)] += torch.tensor(
                list(known.values()), device=device, dtype=logits.dtype
            )
        return logits


def sample(logits: Tensor, states: Sequence[SamplingState]) -> list[Sampled]:
    """Choose the next token of each sequence.

    Args:
        logits: float32, shape (len(states), vocab); not changed.
        states: of the sequences; what is chosen becomes part of their answers.
    """
    adjusted = logits
    if any(state.options.changes_logits for state in states):
        adjusted = torch.stack([state.adjust(row) for row, state in zip(logits, states, strict=True)])
    tokens: list[int] = adjusted.argmax(dim=-1).tolist()
    for index, state in enumerate(states):
        if state.options.temperature > 0:
            tokens[index] = _draw(adjusted[index], state)
        state.accept(tokens[index])
    results = [Sampled(token) for token in tokens]
    _add_logprobs(results, logits, states)
    return results


def _draw(logits: Tensor, state: SamplingState) -> int:
    """A token by its probability, by inverting the cumulative distribution at the sequence's next random number."""
    options = state.options
    # In double precision, as the sum over a large vocabulary would otherwise miss its last tokens.
    probabilities = ((logits - logits.max()).double() / options.temperature).softmax(dim=-1)
    size = probabilities.shape[0]
    if not options.top_k and options.top_p >= 1.0:
        return _invert(probabilities, state.draw())
    kept, order = torch.topk(probabilities, min(options.top_k or FEW, size))
    if not options.top_k and float(kept.sum()) < options.top_p:
        # Sorting the whole vocabulary is dear and seldom needed.
        kept, order = torch.sort(probabilities, descending=True)
    if options.top_p < 1.0:
        # After top_k its tokens together count as everything.
        total = float(kept.sum()) if options.top_k else 1.0
        before = kept.cumsum(dim=-1) - kept
        # The first token stays whatever top_p is.
        kept = kept.masked_fill(before >= max(options.top_p, 1e-12) * total, 0.0)
    return int(order[_invert(kept, state.draw())])


def _invert(probabilities: Tensor, number: float) -> int:
    cumulative = probabilities.cumsum(dim=-1)
    target = number * cumulative[-1]
    return min(int(torch.searchsorted(cumulative, target, right=True)), probabilities.shape[0] - 1)


def _add_logprobs(results: Sequence[Sampled], logits: Tensor, states: Sequence[SamplingState]) -> None:
    wanted = [index for index, state in enumerate(states) if state.options.top_logprobs is not None]
    if not wanted:
        return
    logprobs = logits[wanted].log_softmax(dim=-1)
    most = min(max(states[index].options.top_logprobs or 0 for index in wanted), logprobs.shape[1])
    values, tokens = torch.topk(logprobs, most) if most else (logprobs[:, :0], logprobs[:, :0].long())
    for at, index in enumerate(wanted):
        result, count = results[index], states[index].options.top_logprobs or 0
        result.logprob = float(logprobs[at, result.token])
        result.top = list(zip(tokens[at, :count].tolist(), values[at, :count].tolist(), strict=True))


__all__ = ["Sampled", "SamplingState", "sample"]
