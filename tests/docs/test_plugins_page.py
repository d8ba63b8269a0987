"""docs/plugins.md shows the example as it is; tests/pkg runs its commands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("language", "name"), [("python", "one_file_provider.py"), ("yaml", "one_file_provider.yaml")])
def test_page_shows_the_example_as_it_is(language: str, name: str) -> None:
    shown = [code for found, code in BLOCKS if found == language]

    assert shown == [f"# {name}\n" + (ROOT / "examples" / name).read_text(encoding="utf-8")]


def test_every_other_block_is_a_command_or_its_output() -> None:
    languages = [language for language, _ in BLOCKS if language not in ("python", "yaml")]

    assert set(languages) == {"sh", "json", "text", "console"}
    assert not [
        languages[at]
        for at in range(1, len(languages))
        if languages[at] in ("json", "text") and languages[at - 1] != "sh"
    ]
