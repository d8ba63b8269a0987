"""The config of ingestion refuses what it can't mean."""

from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.ingest import IngestConfig


def test_defaults_allow_public_hosts_and_no_files() -> None:
    config = IngestConfig()

    assert (config.file_roots, config.allowed_hosts, config.allowed_networks) == ([], None, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"no_such_field": 1},
        {"file_roots": ["relative"]},
        {"allowed_hosts": ["http://example.org"]},
        {"allowed_hosts": ["*"]},
        {"allowed_hosts": ["a.*.org"]},
        {"allowed_hosts": ["host:80"]},
        {"allowed_networks": ["10.0.0.1/8"]},
        {"allowed_networks": ["example.org"]},
        {"max_document_bytes": 0},
        {"max_redirects": 21},
        {"parse_timeout_s": 0},
        {"fetch_timeout_s": float("inf")},
        {"parse_memory_mib": 128},
        {"max_concurrent": 0},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IngestConfig(**wrong)


def test_single_address_is_a_network() -> None:
    assert [str(network) for network in IngestConfig(allowed_networks=["10.1.2.3", "fd00::1"]).allowed_networks] == [  # type: ignore[list-item]
        "10.1.2.3/32",
        "fd00::1/128",
    ]
