"""Every example does what it says, against a real host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hitchpost.api import Api
from hitchpost.conformance import InferenceConformance
from hitchpost.scaffold import ProviderPackage
from tests.processes import HostProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
SINGLE_FILES = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.sh")])
PUBLISHED = {"CHANGELOG.md", "LICENSE"}
"""What a package has when it is published, beside or in place of what it began with."""


def run(host: HostProcess, *command: str, status: int = 0) -> str:
    environ = {**os.environ, "HITCHPOST_URL": host.url, "PYTHONWARNINGS": "error"}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False, cwd=EXAMPLES)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize("example", SINGLE_FILES, ids=lambda path: path.name)
def test_single_file_is_short_and_listed(example: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 60
    assert f"({example.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("client", "error"), [("client_openai.py", "model_not_found: "), ("client_llama_stack.py", "")]
)
def test_client_prints_one_answer_whole_and_streamed(client: str, error: str, tiny_host: HostProcess) -> None:
    lines = run(tiny_host, sys.executable, client, "What is Hitchpost?").splitlines()

    assert lines[0] == "tiny-llama, whole:"
    assert lines[2] == "tiny-llama, as it comes:"
    assert lines[1] == lines[3]
    assert "Hitchpost" in lines[1]
    assert [line.startswith(error) for line in lines[4:]] == [True] * bool(error)


def test_shell_script_prints_the_events_of_a_chat(tiny_host: HostProcess) -> None:
    events = run(tiny_host, "sh", "chat.sh", 'Say "hello"\\\nto me!').split("\n\n")

    assert [event for event in events if event.startswith("data: {")]
    assert events[-2:] == ["data: [DONE]", ""]


def test_shell_script_shows_why_it_failed(tiny_host: HostProcess) -> None:
    assert "no-such-model" in run(tiny_host, "sh", "chat.sh", "Hello!", "no-such-model", status=22)


def test_one_file_provider_is_served_by_its_run_config(tmp_path: Path) -> None:
    run_config = (EXAMPLES / "one_file_provider.yaml").read_text(encoding="utf-8")
    (tmp_path / "one_file_provider.py").symlink_to(EXAMPLES / "one_file_provider.py")

    with HostProcess(tmp_path, run_config) as host:
        lines = run(host, sys.executable, "client_openai.py", "dear world", "cage/polly").splitlines()

    assert lines[:4] == ["cage/polly, whole:", "Hello, dear world", "cage/polly, as it comes:", "Hello, dear world"]


class TestOneFileProvider(InferenceConformance):
    """The kit holds for it too."""

    provider_type = "inline::parrot"
    plugin_paths = (EXAMPLES / "one_file_provider.py",)
    model = "polly"
    chat_expected = "Squawk!"


def test_provider_package_is_what_the_command_writes_and_what_was_published(tmp_path: Path) -> None:
    """`hitchpost new provider acme --api inference --output examples/provider-package`; then licence and changelog."""
    written = ProviderPackage("acme", Api.inference).write(tmp_path / "made")
    example = EXAMPLES / "provider-package"
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=example, capture_output=True, text=True, check=True)
    texts = {str(path): (tmp_path / "made" / path).read_text(encoding="utf-8") for path in written}
    texts["pyproject.toml"] = texts["pyproject.toml"].replace("# license = ", "license = ")

    files = set(listed.stdout.split("\0")) - {""}

    assert files == texts.keys() | PUBLISHED
    different = [name for name in files - PUBLISHED if (example / name).read_text(encoding="utf-8") != texts[name]]
    assert not different, "write the example anew, or change the templates in core/src/hitchpost/scaffold"
