"""Inserts until it is killed; says of each document that it is in. Run as a script: FOLDER."""

import sys
from pathlib import Path

from tests.meta_reference_memory.banks import LIMITS, document, open_bank


def main() -> None:
    bank = open_bank(Path(sys.argv[1]))
    # The last one may not have been changed any more.
    start = max(0, bank.document_count - 1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in range(start, start + 10_000):
        bank.insert([document(f"d{number:05}", f"word{number}", "second chunk", metadata={"number": number})], LIMITS)
        if number % 5 == 4:
            bank.insert([document(f"d{number:05}", f"changed{number}")], LIMITS)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
