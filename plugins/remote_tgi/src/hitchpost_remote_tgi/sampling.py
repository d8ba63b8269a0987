"""How the next token is chosen, in the words that both wires share. Only what the caller said is sent: the rest is the server's to decide."""

from dataclasses import dataclass

from hitchpost.api import SamplingParams, SamplingStrategy
from hitchpost_remote_tgi.server_info import ServerInfo


@dataclass(slots=True)
class Sampling:
    """None: not said. The server refuses a temperature of 0 on one wire, and a `top_p` of 0 or 1 on both; neither is ever here."""

    is_greedy: bool
    temperature: float | None
    top_p: float | None
    top_k: int | None
    repetition_penalty: float | None
    seed: int | None


def sampling(params: SamplingParams) -> Sampling:
    """What a request says of it.

    The strategies `top_p` and `top_k` name the limit that holds; the other one holds beside it only if the caller said it.
    """
    top_p = params.top_p if params.strategy is SamplingStrategy.top_p else params.said("top_p")
    top_k = params.top_k if params.strategy is SamplingStrategy.top_k else params.said("top_k")
    is_greedy = params.is_greedy or top_p == 0
    return Sampling(
        is_greedy=is_greedy,
        temperature=None if is_greedy else params.temperature,
        top_p=None if is_greedy or top_p in (None, 1) else top_p,
        top_k=None if is_greedy else top_k or None,
        repetition_penalty=None if params.repetition_penalty in (None, 0, 1) else params.repetition_penalty,
        # The server's seeds are unsigned.
        seed=None if params.seed is None else params.seed % 2**64,
    )


def limit_tokens(params: SamplingParams, info: ServerInfo) -> int | None:
    """The longest answer: what was asked, at most what the server's context holds; None leaves it to a server that fills it by itself.

    How long the prompt is, only the server can count; where both together are too long, it says so, and is asked for what fits.
    """
    most = None if info.max_total_tokens is None else max(1, info.max_total_tokens - 1)
    if not params.max_tokens:
        return None if info.fills_window else most
    return params.max_tokens if most is None else min(params.max_tokens, most)


__all__ = ["Sampling", "limit_tokens", "sampling"]
