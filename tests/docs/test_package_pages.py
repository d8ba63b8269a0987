"""The page of each package of servers behind a network: its run configs are right, and it says what users look for."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hitchpost.cli.main import program

ROOT = Path(__file__).parents[2]
PACKAGES = ["bedrock", "remote_ollama", "remote_openai", "remote_tgi", "weaviate"]
PAGES = [ROOT / "plugins" / package / "README.md" for package in PACKAGES]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN_CONFIGS = [
    pytest.param(page, number, id=f"{page.parent.name}-{number}")
    for page in PAGES
    for number in range(len(BLOCK.findall(page.read_text("utf-8"))))
]
QUESTIONS = {
    "how it is installed": r"pip install .*\./plugins/",
    "how it is configured": r"^```yaml$",
    "what maps to what": r"^## What (maps to what|becomes of a request)$",
    "what it can't do": r"^## What (it )?can't (do|be done)$",
    "what is answered then": r"`unsupported`",
    "what it makes of failures": r"backend_unavailable",
}


def run_config(page: Path, number: int) -> str:
    """A run config of a page; one without providers goes on from the page's first."""
    blocks = BLOCK.findall(page.read_text("utf-8"))
    said = yaml.safe_load(blocks[number])
    return yaml.safe_dump(said if "providers" in said else {**yaml.safe_load(blocks[0]), **said})


@pytest.mark.parametrize(("page", "number"), RUN_CONFIGS)
def test_run_config_of_a_page_is_right(page: Path, number: int, tmp_path: Path) -> None:
    text = run_config(page, number)
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    filled = [f"--env={name}=x" for name in re.findall(r"\$\{env\.(\w+)", text)]

    result = CliRunner().invoke(program, ["config", "check", str(tmp_path / "run.yaml"), *filled])

    assert result.exit_code == 0, result.output
    assert "Warning" not in result.output


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("package", PACKAGES)
def test_page_answers_what_users_ask(package: str, question: str) -> None:
    text = (ROOT / "plugins" / package / "README.md").read_text("utf-8")

    assert re.search(QUESTIONS[question], text, re.MULTILINE), f"say {question}"
