import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hitchpost.remote import RemoteConfig, RemoteServer
from tests.remote.raw_server import RawServer, Respond

Connect = Callable[..., Any]


@pytest.fixture
async def served() -> AsyncIterator[Connect]:
    """Starts a raw server with the given answers and opens a `RemoteServer` in front of it; config fields are keywords."""
    async with AsyncExitStack() as stack:

        async def serve(*answers: bytes | Respond, **fields: Any) -> tuple[RemoteServer, RawServer]:
            options = {name: fields.pop(name) for name in ("key", "read_error") if name in fields}
            raw = await stack.enter_async_context(RawServer(*answers))
            remote = RemoteServer(RemoteConfig(url=raw.url, **fields), "Acme", **options)
            await remote.open()
            stack.push_async_callback(remote.close)
            return remote, raw

        yield serve


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    return pem
