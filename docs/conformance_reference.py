"""Writes the tables of docs/conformance.md from the checks of the kit; `make docs` runs it, and a test compares."""

from collections.abc import Iterator
from pathlib import Path

from hitchpost.conformance import InferenceConformance, MemoryConformance, ProviderConformance, SafetyConformance
from hitchpost.conformance.check import Check, checks_of

PAGE = Path(__file__).with_name("conformance.md")
BEGINNING = "## The checks\n"
SECTIONS = (
    ("every provider", ProviderConformance),
    ("inference", InferenceConformance),
    ("safety", SafetyConformance),
    ("memory, for each type of bank", MemoryConformance),
)


def page() -> str:
    """The whole page: what people wrote, and behind it the checks."""
    written = PAGE.read_text(encoding="utf-8").partition(BEGINNING)[0]
    return "\n".join([written + BEGINNING, *_sections()])


def _sections() -> Iterator[str]:
    known: set[str] = set()
    for title, kit in SECTIONS:
        rows = [_row(described) for _, described in checks_of(kit) if described.id not in known]
        known |= {described.id for _, described in checks_of(kit)}
        yield "\n".join(
            [
                f"### Of {title}",
                "",
                "| id | what holds | needs | why | what to change when it fails |",
                "|---|---|---|---|---|",
                *rows,
                "",
            ]
        )


def _row(described: Check) -> str:
    needs = ", ".join(f"`{capability}`" for capability in described.needs)
    return f"| `{described.id}` | {described.what} | {needs} | {described.why} | {described.advice} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
