"""A conversation at the terminal: lines in, streamed answers out."""

import asyncio
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, suppress

from hitchpost.cli.host_client import HostClient, model_type
from hitchpost.cli.output import CommandError, show_error, show_line, show_note, show_part

HELP = """\
/model        the models of the host; the one in use is marked
/model NAME   talk to another model
/clear        forget the conversation
/help         this list
Ctrl-C stops an answer, Ctrl-D leaves."""
_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?")


def run_chat(url: str, model: str | None) -> None:
    """Chat until the input ends.

    Raises:
        CommandError: the host can't be reached or serves nothing; and, where the input is no terminal, whatever else fails.
    """
    with asyncio.Runner() as runner:
        client = HostClient(url)
        try:
            conversation = Conversation(client, _chosen_model(runner.run(client.list_models()), model))
            if sys.stdin.isatty():
                _chat_with_person(runner, conversation, url)
            else:
                for line in sys.stdin:
                    _handle(runner, conversation, line.strip())
        finally:
            runner.run(client.aclose())


def _chosen_model(models: Sequence[Mapping[str, object]], wanted: str | None) -> str:
    if wanted is not None:
        return wanted
    names = [str(model["identifier"]) for model in models if model_type(model) != "embedding"]
    if not names:
        raise CommandError("the host serves no model to talk to yet; `hitchpost models` lists what it serves")
    return names[0]


class Conversation:
    """What was said so far, and to which model."""

    def __init__(self, client: HostClient, model: str) -> None:
        self.client = client
        self.model = model
        self._messages: list[dict[str, str]] = []

    def clear(self) -> None:
        """Forget what was said."""
        self._messages.clear()

    async def ask(self, text: str) -> None:
        """Send a message and show the answer while it comes.

        What was shown of an answer stays part of the conversation when it is stopped; a message that got no answer does not.
        """
        self._messages.append({"role": "user", "content": text})
        shown: list[str] = []
        try:
            await self._show_answer(shown)
        finally:
            if shown:
                self._messages.append({"role": "assistant", "content": "".join(shown)})
            else:
                self._messages.pop()

    async def _show_answer(self, shown: list[str]) -> None:
        finish = before = ""
        try:
            async with aclosing(self.client.stream_chat(self.model, self._messages)) as parts:
                async for part in parts:
                    if part.kind == "finish":
                        finish = part.text
                        continue
                    if before == "reasoning" != part.kind:
                        show_line()
                    before = part.kind
                    show_part(part.text, is_dim=part.kind == "reasoning")
                    if part.kind == "text":
                        shown.append(part.text)
        finally:
            if before:
                show_line()
        if finish == "length":
            show_note("(cut at the token limit)")


def _chat_with_person(runner: asyncio.Runner, conversation: Conversation, url: str) -> None:
    """Like the piped chat, with a prompt, and in which nothing but the end of the input ends the program."""
    with suppress(ImportError):
        import readline  # noqa: F401 - gives `input` line editing and a history
    show_line(f"Talking to {conversation.model} at {url}. /help lists commands, Ctrl-D leaves.", is_dim=True)
    for line in _typed_lines():
        try:
            _handle(runner, conversation, line.strip())
        except KeyboardInterrupt:
            show_note("(stopped)")
        except CommandError as error:
            show_error(error.message)


def _typed_lines() -> Iterator[str]:
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            show_line()
        except EOFError:
            show_line()
            return


def _handle(runner: asyncio.Runner, conversation: Conversation, line: str) -> None:
    """Obey a command, or send a message."""
    command = _COMMAND.fullmatch(line)
    match command.groups() if command else None:
        case None:
            if line:
                runner.run(conversation.ask(line))
        case ("help", _):
            show_line(HELP)
        case ("clear", _):
            conversation.clear()
        case ("model", None):
            models = runner.run(conversation.client.list_models())
            for name in (str(model["identifier"]) for model in models):
                show_line(f"{'*' if name == conversation.model else ' '} {name}")
        case ("model", name):
            conversation.model = runner.run(conversation.client.get_model_id(name))
        case (name, _):
            raise CommandError(f"there is no command /{name}; /help lists them")


__all__ = ["Conversation", "run_chat"]
