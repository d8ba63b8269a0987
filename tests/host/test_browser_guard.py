"""Web pages that somebody has open in a browser can't use the host."""

import json

import pytest
from aiohttp.test_utils import make_mocked_request

from hitchpost.errors import PermissionDeniedError
from hitchpost.host.browser_guard import BrowserGuard
from tests.host.served import ServedHost

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def allows(guard: BrowserGuard, host: str, origin: str | None = None) -> bool:
    """Whether a request with these headers passes."""
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    try:
        guard.check(make_mocked_request("POST", "/v1/chat/completions", headers=headers))
    except PermissionDeniedError:
        return False
    return True


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "LOCALHOST:8321",
        "127.0.0.1:8321",
        "[::1]:8321",
        "192.168.1.5:8321",
        "app.localhost",
        "host.docker.internal:8321",
        "printer.local",
        "hitchpost:8321",
        "chat.example.org",
    ],
)
def test_names_that_nobody_on_the_internet_can_own_are_answered(name: str) -> None:
    guard = BrowserGuard("127.0.0.1", allowed_hosts=["chat.example.org"])

    assert allows(guard, name)


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "localhost.evil.example", "[broken"])  # fmt: skip
def test_name_that_somebody_may_have_rebound_is_refused_on_a_loopback_address(name: str) -> None:
    assert not allows(BrowserGuard("127.0.0.1"), name)


@pytest.mark.parametrize("listen_host", ["0.0.0.0", "::", "10.1.2.3", "api.example.org"])
def test_any_name_is_answered_where_others_may_reach_the_host(listen_host: str) -> None:
    assert allows(BrowserGuard(listen_host), "anything.example")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", "https://localhost", ""])
@pytest.mark.parametrize("listen_host", ["127.0.0.1", "0.0.0.0"])
def test_pages_of_another_origin_are_refused(origin: str, listen_host: str) -> None:
    assert not allows(BrowserGuard(listen_host), "localhost:8321", origin)


def test_pages_of_the_host_itself_are_allowed() -> None:
    assert allows(BrowserGuard("127.0.0.1"), "localhost:8321", "http://localhost:8321")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/alpha/inference/chat-completion", "/health"])
async def test_refusal_has_the_envelope_of_its_surface_and_no_cors_header(path: str, host: ServedHost) -> None:
    answer = await host.send("POST", path, json.dumps(BODY), {"Origin": "https://evil.example"})

    assert answer.status == 403
    assert "another origin" in answer.text
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_preflight_is_not_answered(host: ServedHost) -> None:
    headers = {"Origin": host.url, "Access-Control-Request-Method": "POST"}

    answer = await host.send("OPTIONS", "/v1/chat/completions", None, headers)

    assert answer.status == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
