import pytest
from pydantic import ValidationError

from hitchpost.remote import RemoteConfig


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://host/v1/", "https://host/v1"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_url_is_kept_without_its_last_slash(given: str, kept: str) -> None:
    assert RemoteConfig(url=given).url == kept


@pytest.mark.parametrize(
    "url",
    ["", "host:80", "ftp://host", "http://", "http://host:0", "http://host:99999", "http://u:p@host", "http://h/?a=b", "http://[", "file:///x"],
)  # fmt: skip
def test_url_must_be_one_of_a_server(url: str) -> None:
    with pytest.raises(ValidationError):
        RemoteConfig(url=url)


def test_certificates_are_checked_unless_the_config_says_otherwise() -> None:
    assert RemoteConfig(url="https://host").tls_verify


@pytest.mark.parametrize(
    "field", ["connect_timeout_s", "first_byte_timeout_s", "between_chunks_timeout_s", "total_timeout_s"]
)
@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_every_time_limit_is_one(field: str, seconds: float) -> None:
    with pytest.raises(ValidationError):
        RemoteConfig(url="http://host", **{field: seconds})
