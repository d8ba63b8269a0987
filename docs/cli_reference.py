"""Writes docs/cli.md from the program's own help texts; `make docs` runs it, and a test compares.

Commands that plugins add are documented by their plugins.
"""

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from hitchpost.cli.main import program

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """# The command line

`hitchpost` and `python -m hitchpost` are the same program. What `--help` says stands below; `python docs/cli_reference.py` writes this page.

| exit status | meaning |
|---|---|
| 0 | done; for `run`: stopped by a signal |
| 1 | something failed: the host can't be reached, a provider refused, an unexpected error |
| 2 | what was asked can't be: wrong usage, a wrong run config, nothing to serve |

A failure is one line on stderr, apart from the problems of a run config, which are listed all at once. An unexpected error is a defect, of Hitchpost
or of a plugin's command. Text from a host or a plugin is printed without control characters.

| variable | meaning |
|---|---|
| `HITCHPOST_DEBUG` | when set, an unexpected error shows its traceback |
| `HITCHPOST_URL` | the running host that `chat`, `models` and the like talk to; an OpenAI `base_url`, which ends in `/v1`, does as well |
| `HITCHPOST_LOG_FORMAT` | `text` or `json`: how `run` logs, to stderr |
| `HITCHPOST_LOG_LEVEL` | `DEBUG` (a line for every request), `INFO` (the default: requests that failed, with their ids), `WARNING` or `ERROR` |

[run-config.md](run-config.md) names those that concern the host. `run --env` fills placeholders of the run config and nothing else: the environment
of providers stays as it is. `run` warns when it listens on an address that other machines can reach, since there is no authentication.

In `chat`, `/model` lists the models, `/model NAME` changes to another, and `/clear` forgets the conversation. What was shown of a stopped answer
stays part of the conversation; a message that failed does not. From a pipe, the first failure ends the chat with status 1:

```sh
printf 'What is Hitchpost?\\nThanks!\\n' | hitchpost chat
```

`plugins` says at which step a plugin failed: `import`, `validate` or `register`. Commands that plugins add stand under `offers`, not in
`hitchpost --help`, which does not wait for plugins; a plugin's command never replaces one of these. `providers` imports nothing that it lists.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections(program)])


def _sections(command: click.Command, *path: str) -> Iterator[str]:
    said = CliRunner().invoke(program, [*path, "--help"], prog_name="hitchpost", terminal_width=100).output
    yield f"## `{' '.join(['hitchpost', *path])}`\n\n```text\n{said}```\n"
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from _sections(child, *path, name)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
