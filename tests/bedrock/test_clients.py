"""Clients and their connections: which are shared, which are let go of, and TLS."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError
from hitchpost_bedrock.aws.clients import MAX_KEPT_CLIENTS, AwsClients
from hitchpost_bedrock.aws.config import AwsConfig
from hitchpost_bedrock.aws.credentials import Identity
from hitchpost_bedrock.aws.workers import Workers
from tests.bedrock.conftest import MakeProvider, asking
from tests.fakes.bedrock.server import FakeBedrock
from tests.plugged import chat, until
from tests.servers import needed_program

pytestmark = pytest.mark.timeout(60)


def identity(number: int) -> Identity:
    return Identity(f"AKIA{number}", "secret", None, None)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    threads = Workers(2)
    yield threads
    await threads.close()


async def made(workers: Workers, **config: Any) -> AwsClients:
    return AwsClients(AwsConfig(region_name="us-east-1", **config), workers)


async def test_requests_under_the_same_keys_share_a_client(workers: Workers) -> None:
    clients = await made(workers)

    first, second = await asyncio.gather(*(clients.get("bedrock-runtime", identity(1)) for _ in range(2)))

    assert first is second
    await clients.close()


async def test_clients_of_callers_are_bounded_and_the_oldest_goes_first(workers: Workers) -> None:
    clients = await made(workers)
    first = await clients.get("bedrock-runtime", identity(0))
    kept = [await clients.get("bedrock-runtime", identity(number)) for number in range(1, MAX_KEPT_CLIENTS + 1)]

    assert await clients.get("bedrock-runtime", identity(MAX_KEPT_CLIENTS)) is kept[-1]
    assert await clients.get("bedrock-runtime", identity(0)) is not first
    await clients.close()


async def test_clients_of_callers_are_let_go_of_after_session_ttl(workers: Workers) -> None:
    clients = await made(workers, session_ttl=1e-9)

    first = await clients.get("bedrock-runtime", identity(0))

    assert await clients.get("bedrock-runtime", identity(0)) is not first
    await clients.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate of localhost that nobody knows; its key lies beside it."""
    folder = tmp_path_factory.mktemp("tls")
    made_for = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    new = [str(needed_program("openssl", "openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*new, *made_for, *files], check=True, capture_output=True)
    return folder / "certificate.pem"


@pytest.fixture
async def secure_fake(certificate: Path) -> AsyncIterator[FakeBedrock]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    async with FakeBedrock(context) as server:
        yield server


async def test_certificate_that_nobody_vouches_for_is_refused(
    secure_fake: FakeBedrock, make_provider: MakeProvider
) -> None:
    provider = await make_provider(endpoint_url=secure_fake.url)

    with pytest.raises(BackendUnavailableError, match="SSLError"):
        await provider.chat_completion(chat(), asking())


async def test_authority_of_the_config_is_trusted(
    secure_fake: FakeBedrock, make_provider: MakeProvider, certificate: Path
) -> None:
    provider = await make_provider(endpoint_url=secure_fake.url, ca_bundle=str(certificate))

    assert (await provider.chat_completion(chat(), asking())).choices[0].text


async def test_calls_over_tls_end_when_their_caller_leaves(
    secure_fake: FakeBedrock, make_provider: MakeProvider, certificate: Path
) -> None:
    settings = {"endpoint_url": secure_fake.url, "ca_bundle": str(certificate), "max_connections": 1}
    provider = await make_provider(**settings)
    async with secure_fake.stall():
        for _ in range(3):
            task = asyncio.ensure_future(provider.chat_completion(chat(), asking()))
            await until(lambda: secure_fake.stalled == 1)
            task.cancel()
            await until(lambda: secure_fake.running == 0)

    assert (await provider.chat_completion(chat(), asking())).choices[0].text
