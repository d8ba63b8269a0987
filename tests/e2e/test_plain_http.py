"""A real host spoken to without any SDK: bad input, and what operators and browsers look at."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.processes import HostProcess

GOOD = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}
GOOD_NATIVE = {"model_id": "scripted", "messages": [{"role": "user", "content": "hello"}]}
SURFACES = [("/v1/chat/completions", GOOD), ("/alpha/inference/chat-completion", GOOD_NATIVE)]


def post(host: HostProcess, path: str, body: bytes) -> tuple[int, Any, Any]:
    """Status, parsed body and headers of the answer to a POST."""
    request = urllib.request.Request(host.url + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read()), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def message_of(answer: Any) -> str:
    """The words of either surface's error body."""
    return json.dumps(answer)


@pytest.mark.parametrize(("path", "body"), SURFACES)
def test_good_body_is_answered(path: str, body: dict[str, Any], scripted_host: HostProcess) -> None:
    status, _, headers = post(scripted_host, path, json.dumps(body).encode())

    assert status == 200
    assert headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [(path, body, field) for path, body in SURFACES for field in body],
)
def test_missing_field_is_named(path: str, body: dict[str, Any], field: str, scripted_host: HostProcess) -> None:
    rest = {key: value for key, value in body.items() if key != field}

    status, answer, _ = post(scripted_host, path, json.dumps(rest).encode())

    assert status == 400
    assert field in message_of(answer)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [(path, body, field) for path, body in SURFACES for field in body],
)
def test_field_of_a_wrong_type_is_named(
    path: str, body: dict[str, Any], field: str, scripted_host: HostProcess
) -> None:
    status, answer, _ = post(scripted_host, path, json.dumps({**body, field: 7}).encode())

    assert status == 400
    assert field in message_of(answer)


@pytest.mark.parametrize(("path", "body"), SURFACES)
@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'{"a": NaN', b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000], ids=range(8)
)
def test_body_that_is_no_json_object_is_a_400(
    path: str, body: dict[str, Any], text: bytes, scripted_host: HostProcess
) -> None:
    status, answer, _ = post(scripted_host, path, text)

    assert status == 400
    assert "Traceback" not in message_of(answer)


@pytest.mark.parametrize(("path", "body"), SURFACES)
def test_body_over_16_mib_is_a_413(path: str, body: dict[str, Any], scripted_host: HostProcess) -> None:
    messages = [{"role": "user", "content": "x" * (16 * 1024 * 1024)}]

    status, answer, _ = post(scripted_host, path, json.dumps({**body, "messages": messages}).encode())

    assert status == 413
    assert "16" in message_of(answer)


@pytest.mark.parametrize(("path", "body"), SURFACES)
def test_more_messages_than_are_read_are_a_400(path: str, body: dict[str, Any], scripted_host: HostProcess) -> None:
    status, answer, _ = post(scripted_host, path, json.dumps({**body, "messages": body["messages"] * 10_001}).encode())

    assert status == 400
    assert "messages" in message_of(answer)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", GOOD), ("/v1/completions", {"model": "scripted", "prompt": "hello"})],
    ids=["chat", "completion"],
)
def test_seed_beyond_64_bits_is_a_400_that_names_it(
    path: str, body: dict[str, Any], seed: int, scripted_host: HostProcess
) -> None:
    status, answer, _ = post(scripted_host, path, json.dumps({**body, "seed": seed}).encode())

    assert (status, answer["error"]["param"]) == (400, "seed")


def test_null_stands_for_default_sampling_params(scripted_host: HostProcess) -> None:
    body = json.dumps({**GOOD_NATIVE, "sampling_params": None}).encode()

    status, _, _ = post(scripted_host, "/alpha/inference/chat-completion", body)

    assert status == 200


def test_what_cannot_be_read_as_http_is_not_quoted_in_the_log(scripted_host: HostProcess) -> None:
    with socket.create_connection(("127.0.0.1", scripted_host.port), timeout=10) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-SECRET\x01\r\n\r\n")

        answer = connection.recv(4096)

    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert "SECRET" not in scripted_host.log


def test_host_serves_on_after_all_this(scripted_host: HostProcess) -> None:
    status, _, _ = post(scripted_host, "/v1/chat/completions", json.dumps(GOOD).encode())

    assert status == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json", "/docs", "/alpha/health"])
def test_operators_find(path: str, scripted_host: HostProcess) -> None:
    assert scripted_host.get(path)


def test_documentation_needs_nothing_from_elsewhere(scripted_host: HostProcess) -> None:
    page = scripted_host.get("/docs")

    assert 'src="http' not in page
    assert 'href="http' not in page
