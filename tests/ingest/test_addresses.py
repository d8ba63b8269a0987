"""Only public addresses are connected with, in whatever form they are written, and those that the config allows."""

from ipaddress import ip_address, ip_network

import pytest

from hitchpost.errors import BadRequestError
from hitchpost.ingest import IngestConfig, Ingestor
from hitchpost.ingest.sources.addresses import may_connect
from tests.ingest.conftest import LOG
from tests.ingest.made_documents import document


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "3fff::1",
        "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert not may_connect(ip_address(address), [])


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::808:808",
    ],
)
def test_public_address_is_allowed(address: str) -> None:
    assert may_connect(ip_address(address), [])


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"])
def test_network_of_the_config_is_allowed_in_every_form(address: str) -> None:
    assert may_connect(ip_address(address), [ip_network("10.1.2.0/24")])


def test_network_of_the_config_allows_nothing_beside_it() -> None:
    assert not may_connect(ip_address("10.1.3.1"), [ip_network("10.1.2.0/24")])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::]", "0",
        "169.254.169.254", "[fd00:ec2::254]", "[fe80::1%25lo]", "１２７.０.０.１", "127.0.0.1.", "①②⑦.⓪.⓪.①",
    ],
)  # fmt: skip
async def test_url_of_a_forbidden_host_is_refused_however_it_is_written(host: str) -> None:
    ingestor = Ingestor(IngestConfig(), LOG)

    with pytest.raises(BadRequestError, match=r"not public|no address|not known|malformed|names no host"):
        await ingestor.read(document(f"http://{host}:1/secret"), chunk_size=10)

    await ingestor.stop()
