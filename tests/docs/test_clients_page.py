"""The snippets of docs/clients.md are whole and go to the host; the frameworks themselves are not installed here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import HostProcess

PAGE = (Path(__file__).parents[2] / "docs/clients.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
[EXPORTS] = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("code", [code for _, code in SNIPPETS], ids=[name for name, _ in SNIPPETS])
def test_snippet_is_a_whole_program_that_goes_to_the_host(code: str) -> None:
    compile(code, "snippet", "exec")

    assert set(re.findall(r"https?://[^\"]+", code)) == {"http://127.0.0.1:8321/v1"}


def test_libraries_on_the_openai_sdk_find_the_host_by_their_environment(tiny_host: HostProcess) -> None:
    program = "from openai import OpenAI; print([model.id for model in OpenAI().models.list()])"
    exports = EXPORTS.replace("http://127.0.0.1:8321", tiny_host.url)
    command = ["sh", "-ec", f'{exports}\n"{sys.executable}" -c "{program}"']

    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=os.environ).stdout

    assert "tiny-llama" in printed
    assert "all-MiniLM-L6-v2" in printed
