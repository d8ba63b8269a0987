"""A process whose files may not grow beyond a limit, as on a full disk: `full_disk.py DB_PATH`. It prints what a store made of it."""

import asyncio
import resource
import sys
from pathlib import Path

from hitchpost.errors import BackendUnavailableError
from hitchpost.store import SqliteStoreConfig, open_store


async def fill(path: Path) -> None:
    """Write until it is full, read, and write on when there is room again."""
    store = await open_store(SqliteStoreConfig(db_path=path))
    await store.set("before", "here")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    written = 0
    try:
        while True:
            await store.set(f"filler {written:04}", "x" * 50_000)
            written += 1
    except BackendUnavailableError as error:
        say(f"error: {error}")
    found = [(key, len(value)) async for key, value in store.scan("filler")]
    is_whole = found == [(f"filler {number:04}", 50_000) for number in range(written)]
    say(f"whole: {is_whole and written > 0}")
    say(f"before: {await store.get('before')}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.set("after", "x" * 500_000)
    say(f"after: {len(await store.get('after') or '')}")
    await store.close()


def say(line: str) -> None:
    """Tell whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1])))
