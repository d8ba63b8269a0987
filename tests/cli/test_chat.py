"""`hitchpost chat` against a real host, from a pipe and at a terminal."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aiohttp import web

from tests.cli.conftest import Run
from tests.cli.terminal import Terminal
from tests.processes import HostProcess, wait_until


def piped(host: HostProcess, *arguments: str, stdin: bytes) -> subprocess.CompletedProcess[str]:
    """`hitchpost chat` as a process whose input is no terminal."""
    result = subprocess.run(
        [sys.executable, "-m", "hitchpost", "chat", "--url", host.url, *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
    )
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout.decode(), result.stderr.decode())


# --- from a pipe ---


def test_each_line_of_a_pipe_is_answered(scripted_host: HostProcess) -> None:
    result = piped(scripted_host, stdin="hello\n\n  grüße, world  \nthink\nbad".encode())

    assert result.stdout == "hello\ngrüße, world\nLet me see.\n42\nI won't.\n"
    assert (result.stderr, result.returncode) == ("", 0)


def test_answer_that_was_cut_at_the_limit_says_so_on_stderr(scripted_host: HostProcess) -> None:
    result = piped(scripted_host, stdin=b"length")

    assert (result.stdout, result.stderr) == ("one two\n", "(cut at the token limit)\n")


def test_control_characters_of_an_answer_do_not_reach_the_terminal(scripted_host: HostProcess) -> None:
    result = piped(scripted_host, stdin=b"steer")

    assert result.stdout == "[2Jclean A\n"


def test_input_that_is_no_utf8_is_no_reason_to_fail(scripted_host: HostProcess) -> None:
    result = piped(scripted_host, stdin=b"caf\xe9")

    assert (result.stdout, result.returncode) == ("caf\N{REPLACEMENT CHARACTER}\n", 0)


@pytest.mark.parametrize(
    ("line", "shown", "error"),
    [
        ("break", "one two\n", "Error: the answer broke off"),
        ("fail", "one\n", "Error: far too much"),
        ("refuse", "", "Error: nothing works"),
        ("/colour", "", "Error: there is no command /colour; /help lists them"),
        ("/model nope", "", "Error: Model `nope` not served"),
        ("/model a b?c", "", "Error: Model `a b?c` not served"),
    ],
)
def test_failure_ends_a_piped_chat_with_its_reason(
    line: str, shown: str, error: str, scripted_host: HostProcess
) -> None:
    result = piped(scripted_host, stdin=f"{line}\nnever asked\n".encode())

    assert result.stdout == shown
    assert result.stderr.startswith(error)
    assert (len(result.stderr.splitlines()), result.returncode) == (1, 1)


def test_unknown_model_is_refused_with_those_that_there_are(scripted_host: HostProcess) -> None:
    result = piped(scripted_host, "--model", "nope", stdin=b"hello")

    assert result.returncode == 1
    assert "nope" in result.stderr
    assert "scripted/scripted" in result.stderr


def test_chat_commands_work(hitchpost: Run, scripted_host: HostProcess) -> None:
    result = hitchpost(
        "chat", "--url", scripted_host.url, stdin="/help\n/model\n/model scripted-two\n/model\n/clear\n/etc/passwd\n"
    )

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("/model ")
    assert lines[-5:] == [
        "* scripted/scripted", "  scripted/scripted-two", "  scripted/scripted", "* scripted/scripted-two", "/etc/passwd",
    ]  # fmt: skip


# --- at a terminal ---


@pytest.fixture
def terminal(scripted_host: HostProcess) -> Iterator[Terminal]:
    """A chat at a terminal, at its first prompt."""
    with Terminal("chat", "--url", scripted_host.url) as opened:
        opened.wait_for("Talking to scripted/scripted")
        opened.wait_for("> ")
        yield opened


def test_person_is_answered_and_leaves_with_ctrl_d(terminal: Terminal) -> None:
    terminal.type("hello you\n")
    shown = terminal.wait_for("\n> ")

    terminal.type("\x04")

    assert shown.replace("\r", "").splitlines()[-2:] == ["hello you", "> "]
    assert terminal.process.wait(20) == 0


def test_ctrl_c_stops_an_answer_and_its_generation(terminal: Terminal, scripted_host: HostProcess) -> None:
    cancelled = scripted_host.metric("hitchpost_provider_cancelled_total")
    terminal.type("stall\n")
    terminal.wait_for("one two")

    terminal.interrupt()

    terminal.wait_for("(stopped)")
    terminal.wait_for("> ")
    wait_until(
        lambda: scripted_host.metric("hitchpost_provider_cancelled_total") == cancelled + 1,
        "the host gave up the answer",
    )
    terminal.type("still there\n")
    terminal.wait_for("\nstill there")


def test_ctrl_c_pressed_twice_stops_the_answer_and_nothing_else(terminal: Terminal) -> None:
    terminal.type("stall\n")
    terminal.wait_for("one two")

    terminal.interrupt()
    terminal.interrupt()

    terminal.wait_for("(stopped)")
    terminal.type_until("still there\n", "\nstill there")


def test_unknown_model_leaves_the_one_in_use(terminal: Terminal) -> None:
    terminal.type("/model nope\n")
    shown = terminal.wait_for("> ")
    terminal.type("/model\n")

    assert "Registered: scripted/scripted, scripted/scripted-two" in shown
    terminal.wait_for("* scripted/scripted\r\n")


def test_ctrl_c_at_the_prompt_drops_what_was_typed(terminal: Terminal) -> None:
    terminal.type("half a li")
    terminal.wait_for("half a li")

    terminal.interrupt_until("> ")

    terminal.type("hello\n")
    terminal.wait_for("\nhello")


def test_failure_at_a_terminal_is_shown_and_the_chat_goes_on(terminal: Terminal) -> None:
    terminal.type("refuse\n")
    terminal.wait_for("nothing works")
    terminal.wait_for("> ")

    terminal.type("again\n")

    terminal.wait_for("\nagain")


# --- the conversation, as the host receives it ---


class ListeningHost:
    """A server that answers as a host would and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, str]]] = []

    async def models(self, request: web.Request) -> web.Response:
        vectors = {"identifier": "vectors", "metadata": {"model_type": "embedding"}}
        return web.json_response([vectors, {"identifier": "talker"}])

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append([(message["role"], message["content"]) for message in body["messages"]])
        assert body["model"] == "talker"
        if body["messages"][-1]["content"] == "fail":
            return web.json_response({"error": {"message": "no"}}, status=500)
        if body["messages"][-1]["content"] == "garbage":
            return web.Response(text="data: {not json\n\n")
        answer = 'data: {"choices": [{"index": 0, "delta": {"content": "yes"}}]}\n\n: heartbeat\n\ndata: [DONE]\n\n'
        return web.Response(text=answer)


@pytest.fixture
async def listening_host() -> Iterator[tuple[ListeningHost, str]]:
    host = ListeningHost()
    app = web.Application()
    app.add_routes([web.get("/alpha/models/list", host.models), web.post("/v1/chat/completions", host.chat)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield host, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def chat_lines(url: str, *lines: str) -> tuple[str, str]:
    """Output and errors of a piped chat, run as a process while this one serves."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hitchpost", "chat", "--url", url,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate("\n".join(lines).encode())
    return out.decode(), err.decode()


async def test_conversation_goes_along_until_it_is_cleared(listening_host: tuple[ListeningHost, str]) -> None:
    host, url = listening_host

    await chat_lines(url, "one", "two", "/clear", "three")

    assert host.asked == [
        [("user", "one")],
        [("user", "one"), ("assistant", "yes"), ("user", "two")],
        [("user", "three")],
    ]


@pytest.mark.parametrize(("line", "reason"), [("fail", "Error: no"), ("garbage", "Error: the answer is not JSON")])
async def test_answer_that_is_no_answer_is_an_error(
    line: str, reason: str, listening_host: tuple[ListeningHost, str]
) -> None:
    _, url = listening_host

    out, err = await chat_lines(url, line)

    assert out == ""
    assert err.startswith(reason)
