"""The chats of the README print what stands below them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import HostProcess

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CHATS = re.findall(r"```(sh|python)\n(.*?)```\n\n```(?:json|text)\n(.*?)```", README, re.DOTALL)


def test_readme_has_a_chat_with_each_of_the_three_clients() -> None:
    text = "".join(code for _, code, _ in CHATS)

    assert len(CHATS) == 3
    assert all(client in text for client in ("curl", "from openai", "from llama_stack_client"))


@pytest.mark.parametrize(("language", "code", "printed"), CHATS, ids=[language for language, _, _ in CHATS])
def test_chat_prints_what_the_readme_says(language: str, code: str, printed: str, tiny_host: HostProcess) -> None:
    code = code.replace("http://127.0.0.1:8321", tiny_host.url)
    command = ["sh", "-c", code] if language == "sh" else [sys.executable, "-c", code]

    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    assert comparable(output) == comparable(printed)


def comparable(text: str) -> Any:
    """The text without what differs from call to call."""
    if not text.startswith("{"):
        return text.strip()
    return {key: value for key, value in json.loads(text).items() if key not in ("id", "created")}


def test_first_screen_has_the_sentence_and_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:40])

    assert "make run" in first_screen
    assert "make test" in first_screen


def test_links_lead_to_files() -> None:
    root = Path(__file__).parents[2]
    pages = [
        root / "README.md",
        *root.glob("docs/**/*.md"),
        *root.glob("plugins/*/README.md"),
        *root.glob("examples/**/README.md"),
        root / "CONTRIBUTING.md",
    ]
    targets = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    ]

    missing = [f"{page.relative_to(root)}: {target}" for page, target in targets if not (page.parent / target).exists()]

    assert targets
    assert not missing
