"""How a server is reached, or not: connections, proxies, certificates; and that keys are told to nobody else."""

import asyncio
import logging
import traceback
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import pytest
from pydantic import SecretStr
from yarl import URL

from hitchpost.errors import BackendUnavailableError, HitchpostError
from hitchpost.remote import RemoteConfig, RemoteServer
from hitchpost.remote.transport import find_proxy
from tests.remote.conftest import Connect
from tests.remote.raw_server import RawServer, answered, stays_silent, until

KEY = "sk-very-secret-key"


# --- reaching the server ---


async def test_nobody_there_is_unavailable() -> None:
    async with RawServer(b"") as raw:
        url = raw.url
    remote = RemoteServer(RemoteConfig(url=url, max_retries=0), "Acme")
    await remote.open()

    with pytest.raises(
        BackendUnavailableError, match="Acme can't be reached at its configured url: nobody listens there"
    ):
        await remote.fetch_json("GET", "/")

    await remote.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", f"{'a' * 70}.com"])
async def test_unknown_host_is_told_as_such(host: str) -> None:
    remote = RemoteServer(RemoteConfig(url=f"http://{host}", max_retries=0), "Acme")
    await remote.open()

    with pytest.raises(BackendUnavailableError, match="nobody knows its host's name"):
        await remote.fetch_json("GET", "/")

    await remote.close()


async def test_closed_pool_is_unavailable_and_opens_again(served: Connect) -> None:
    remote, _ = await served(answered(b"{}"))
    await remote.close()
    await remote.close()

    with pytest.raises(BackendUnavailableError, match="closed"):
        await remote.fetch_json("GET", "/")

    await remote.open()
    await remote.open()
    assert await remote.fetch_json("GET", "/") == {}


async def test_pool_is_bounded(served: Connect) -> None:
    remote, raw = await served(stays_silent, max_connections=2, connect_timeout_s=0.2, first_byte_timeout_s=2)
    callers = [asyncio.create_task(remote.fetch_json("GET", "/")) for _ in range(2)]
    await until(lambda: len(raw.exchanges) == 2)

    with pytest.raises(BackendUnavailableError, match="in time"):
        await remote.fetch_json("GET", "/")

    assert raw.connections == 2
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)


async def test_proxy_of_the_environment_is_asked_with_its_password(
    served: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(answered(b'{"by":"proxy"}')) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:pass@"))
        monkeypatch.setenv("no_proxy", "")
        remote, raw = await served(answered(b"{}"))

        assert await remote.fetch_json("GET", "/x") == {"by": "proxy"}

        assert proxy.exchanges[0].head.startswith(f"GET {raw.url}/x HTTP/1.1")
        assert "Proxy-Authorization: Basic bWU6cGFzcw==" in proxy.exchanges[0].head


async def test_no_proxy_excepts_a_host(served: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    remote, _ = await served(answered(b'{"by":"server"}'))

    assert await remote.fetch_json("GET", "/x") == {"by": "server"}


@pytest.mark.parametrize("trust", ["system", "own authority", "unchecked"])
async def test_certificate_must_be_vouched_for(certificate: Path, trust: str) -> None:
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    fields = {"system": {}, "own authority": {"tls_ca_file": certificate}, "unchecked": {"tls_verify": False}}[trust]
    async with RawServer(answered(b"{}"), tls=tls) as raw:
        remote = RemoteServer(RemoteConfig.model_validate({"url": raw.url, **fields}), "Acme")
        await remote.open()
        try:
            if trust == "system":
                with pytest.raises(BackendUnavailableError, match="certificate of Acme is not trusted"):
                    await remote.fetch_json("GET", "/")
            else:
                assert await remote.fetch_json("GET", "/") == {}
        finally:
            await remote.close()


async def test_unreadable_authorities_are_named_by_the_field(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    remote = RemoteServer(RemoteConfig(url="https://localhost", tls_ca_file=tmp_path / "ca.pem"), "Acme")

    with pytest.raises(BackendUnavailableError, match="tls_ca_file") as caught:
        await remote.open()

    assert caught.value.is_permanent


# --- secrets ---


def test_password_of_a_proxy_is_not_shown_where_the_proxy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:pass@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    shown = repr(find_proxy(URL("http://localhost")))

    assert "127.0.0.1" in shown
    assert "pass" not in shown
    assert "bWU6cGFzcw==" not in shown


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", answered(f'{{"error":"bad key {KEY}"}}'.encode(), 401), answered(b"x")]
)
async def test_key_is_in_no_error_and_no_log(served: Connect, caplog: pytest.LogCaptureFixture, answer: bytes) -> None:
    caplog.set_level(logging.DEBUG)
    remote, _ = await served(answer, key=SecretStr(KEY), max_retries=1)

    with pytest.raises(HitchpostError) as caught:
        await remote.fetch_json("GET", "/")

    beneath = caught.value.__traceback__.tb_next
    shown = traceback.TracebackException(type(caught.value), caught.value, beneath, capture_locals=True)
    assert KEY not in "".join(shown.format()) + repr(caught.value) + caplog.text
    assert KEY not in repr(vars(remote))
