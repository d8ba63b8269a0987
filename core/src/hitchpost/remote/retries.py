"""Whether a request that the server did not take is sent again, and after how long."""

import random

from hitchpost.errors import HitchpostError

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
RETRIED_STATUSES = frozenset({429, 502, 503, 529})
"""With them a server says that it did not begin; what has begun is never begun again."""


class NotTakenError(Exception):
    """A request that the server did not take, and that may be sent again; `error` is for the caller where it isn't."""

    def __init__(self, error: HitchpostError) -> None:
        super().__init__(error.message)
        self.error = error


def retry_delay_s(
    attempt: int, wanted_s: float | None, left_s: float | None, chance: float | None = None
) -> float | None:
    """Seconds to wait before the next attempt, or None where the caller is better told at once.

    Args:
        attempt: how many attempts have failed, at least 1.
        wanted_s: when the server wants to be asked again, if it says so.
        left_s: until the deadline, if there is one.
        chance: from 0 to 1, what decides the jitter; absent: random.
    """
    jitter = random.random() if chance is None else chance  # noqa: S311 - spreads load, guards nothing
    backoff_s = FIRST_DELAY_S * 2 ** (attempt - 1) * (0.5 + jitter / 2)
    # Never before the moment that the server names, and a little after it, as others wait for it too.
    delay_s = backoff_s if wanted_s is None else wanted_s + jitter * min(1.0, 0.25 * wanted_s)
    if delay_s > LONGEST_DELAY_S or (left_s is not None and delay_s >= left_s):
        return None
    return delay_s


__all__ = ["LONGEST_DELAY_S", "RETRIED_STATUSES", "NotTakenError", "retry_delay_s"]
