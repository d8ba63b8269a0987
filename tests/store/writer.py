"""A process that writes to a SQLite store and says what it does: `writer.py DB_PATH NAME COUNT`.

Before each step it prints `try N`, after it `ack N`. Step N is known by its number: see `apply_step`.
"""

import asyncio
import sys
from pathlib import Path

from hitchpost.store import SqliteStoreConfig, open_store


def value_of(name: str, number: int) -> str:
    """What is written in a step; so long that it spans pages of the file."""
    return f"{name} {number} " * (1 + number % 5 * 400)


def apply_step(entries: dict[str, str], name: str, number: int) -> None:
    """What a step does, done to a dict: it writes a key, or deletes the one of three steps before."""
    if number % 4 == 3:
        entries.pop(f"{name}:{number - 3:05}", None)
    else:
        entries[f"{name}:{number:05}"] = value_of(name, number)


async def write(path: Path, name: str, count: int) -> None:
    """Open the store, do the steps, close it."""
    say("try open")
    store = await open_store(SqliteStoreConfig(db_path=path))
    say("ack open")
    for number in range(count):
        say(f"try {number}")
        if number % 4 == 3:
            await store.delete(f"{name}:{number - 3:05}")
        else:
            await store.set(f"{name}:{number:05}", value_of(name, number))
        say(f"ack {number}")
    await store.close()


def say(line: str) -> None:
    """Tell whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
