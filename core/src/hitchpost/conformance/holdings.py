"""What a provider holds while it runs: tasks, threads, child processes and sockets, as far as this process can be asked."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

SETTLE_S = 5.0
"""How long tasks, threads, processes and sockets may take to be gone."""
POLL_S = 0.02

_PROC = Path("/proc/self")
_LENT = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Child processes that Python itself starts once and keeps."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there was at one moment; child processes and sockets stay empty where there is no `/proc`."""

    tasks: frozenset[str]
    threads: frozenset[str]
    processes: frozenset[str]
    sockets: frozenset[str]

    def beyond(self, other: "Holdings") -> str:
        """What this has that `other` had not, in words; empty where there is nothing."""
        left = ((kind, sorted(now - then)) for kind, then, now in _pairs(other, self))
        return "; ".join(f"{kind}: {', '.join(names[:5])}" for kind, names in left if names)

    def more_than(self, other: "Holdings") -> str:
        """Of what this has a greater number than `other`, in words; empty where there is none."""
        return ", ".join(
            f"{len(now)} {kind} in place of {len(then)}"
            for kind, then, now in _pairs(other, self)
            if len(now) > len(then)
        )

    def new_tasks(self, other: "Holdings") -> str:
        """The tasks that `other` had not, where there are more of them than there were; else empty."""
        return ", ".join(sorted(self.tasks - other.tasks)) if len(self.tasks) > len(other.tasks) else ""


def _pairs(then: Holdings, now: Holdings) -> Iterable[tuple[str, frozenset[str], frozenset[str]]]:
    return ((kind, getattr(then, kind), getattr(now, kind)) for kind in Holdings.__slots__)


def take_stock() -> Holdings:
    """What there is now, apart from the calling task; called inside the event loop."""
    current = asyncio.current_task()
    return Holdings(
        tasks=frozenset(_name_of(task) for task in asyncio.all_tasks() if task is not current),
        threads=frozenset(
            f"{thread.name} ({thread.ident})"
            for thread in threading.enumerate()
            if not thread.name.startswith("asyncio_")  # the loop's own pool
        ),
        processes=frozenset(_children()),
        sockets=frozenset(_sockets()),
    )


async def stock_at_rest() -> Holdings:
    """What there is when an earlier check's leftovers have had their time to go."""
    stock = take_stock()
    loop = asyncio.get_running_loop()
    end = loop.time() + SETTLE_S / 5
    while loop.time() < end:
        await asyncio.sleep(POLL_S)
        later = take_stock()
        if later == stock:
            break
        stock = later
    return stock


async def settled(difference: Callable[[], str], limit_s: float) -> str:
    """The difference when it is gone, or when `limit_s` or `SETTLE_S` have passed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(limit_s, SETTLE_S)
    while difference() and loop.time() < end:  # noqa: ASYNC110 - nobody announces the end of a thread or a process
        await asyncio.sleep(POLL_S)
    return difference()


def _name_of(task: asyncio.Task[object]) -> str:
    coroutine = task.get_coro()
    return f"{task.get_name()} ({getattr(coroutine, '__qualname__', coroutine)})"


def _children() -> Iterable[str]:
    for listing in _PROC.glob("task/*/children"):
        for pid in _read(listing).split():
            command = _read(Path("/proc") / pid / "cmdline").replace("\0", " ").strip()
            if not any(lent in command for lent in _LENT):
                yield f"{pid} ({command[:60] or 'ended, but nobody waited for it'})"


def _sockets() -> Iterable[str]:
    for link in _PROC.glob("fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            yield target


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


__all__ = ["POLL_S", "SETTLE_S", "Holdings", "settled", "stock_at_rest", "take_stock"]
