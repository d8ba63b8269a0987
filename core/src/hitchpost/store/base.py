"""What every key-value store can do, whatever holds the data."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Change:
    """News from `KeyValueStore.changes`: look at this key again.

    It says neither what was done nor the new value, since both may be outdated when it is read.
    """

    key: str | None
    """None: anything may have changed, scan the prefix again. So it is at first, and after whatever the store could not follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job that is one owner's until it expires; only `acquire` and `renew` make one."""

    name: str
    owner: str
    token: int
    """Grows with each owner, so that whoever is written to can tell a late holder from the present one."""
    ttl_s: float
    expires_at: float
    """On this process's `time.monotonic()`, counted from before the store was asked: to go on beyond it is to work beside the next owner."""


class KeyValueStore(Protocol):
    """Text under text keys, in key order; what `open_store` returns.

    A key is 1 to 1,024 bytes of UTF-8 without control characters and without U+10FFFF; keys are ordered by code point. Colons part families
    by convention, as in `distributions:registry:v2::model:llama-8b`. A value is any text without NUL, by convention JSON, of at most 8 MiB.

    A write has happened, and outlives the process, when its method returns. When it raises `BackendUnavailableError` or is cancelled, it
    has happened whole or not at all, and only a look tells which.

    Every method raises `BackendUnavailableError` when the store can't be reached, doesn't answer in time, is out of space or is closed; what
    is asked of it again may work then, unless the error is permanent. `BadRequestError` is a wrong key, `RequestTooLargeError` a value
    that is too large.
    """

    async def get(self, key: str) -> str | None:
        """The value, or None."""

    async def set(self, key: str, value: str) -> None:
        """Write the value, whatever was there."""

    async def put_if_absent(self, key: str, value: str) -> bool:
        """Write the value where there is none. Returns whether it was written."""

    async def compare_and_set(self, key: str, expected: str, new: str) -> bool:
        """Replace the value if it still is `expected`. Returns whether it was replaced."""

    async def delete(self, key: str) -> bool:
        """Remove the key. Returns whether it was there."""

    def scan(self, prefix: str = "") -> AsyncGenerator[tuple[str, str], None]:
        """Keys that start with the prefix, in order, each with its value, read page by page.

        What is there the whole time is seen once; what changes meanwhile is seen in its old or new state, or not at all.
        """

    async def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        """Take a lease, or None while another owner has it.

        An owner that has it already gets a new one for it, and its old one ends: it may have forgotten that over a restart.

        Args:
            name: what is leased, in the form of a key; leases and entries don't meet.
            owner: who takes it, in the form of a key; unique among those who compete.
            ttl_s: after how many seconds it expires by itself.
        """

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease for another `ttl_s` from now on, or None when it has expired or is another's."""

    async def release(self, lease: Lease) -> bool:
        """Give a lease back before it expires. Returns whether it still was the owner's."""

    def changes(self, prefix: str = "") -> AsyncGenerator[Change, None]:
        """What happens below a prefix, by whoever shares the store, until the store is closed.

        The first change has the key None, once the store listens: a reader that scans on each None and reads each named key misses
        nothing, also over lost connections. Several changes of one key may come as one. Leaving the loop early, use `contextlib.aclosing`.
        """

    async def health(self) -> None:
        """Returns when the store answers, and raises the reason when it doesn't."""

    async def close(self) -> None:
        """Let go of file, connections and thread; closing twice is closing once."""


__all__ = ["Change", "KeyValueStore", "Lease"]
