"""Where servers are, and which of them a caller may name."""

import pytest
from pydantic import ValidationError

from hitchpost_weaviate.addresses import is_allowed, parse_endpoint
from hitchpost_weaviate.config import WeaviateConfig, WeaviateProviderData

CLOUD = ("https://*.weaviate.cloud", "https://*.weaviate.network")


@pytest.mark.parametrize(
    ("url", "rest", "grpc"),
    [
        ("http://localhost:8080", "http://localhost:8080", "localhost:50051"),
        ("https://weaviate.example.org", "https://weaviate.example.org:443", "weaviate.example.org:50051"),
        ("https://Mine.c0.WEAVIATE.cloud/", "https://mine.c0.weaviate.cloud:443", "grpc-mine.c0.weaviate.cloud:443"),
        ("mine.weaviate.cloud", "https://mine.weaviate.cloud:443", "grpc-mine.weaviate.cloud:443"),
        ("https://mine.weaviate.network", "https://mine.weaviate.network:443", "mine.grpc.weaviate.network:443"),
        ("http://[::1]:8080", "http://::1:8080", "[::1]:50051"),
    ],
)
def test_url_says_where_both_halves_are(url: str, rest: str, grpc: str) -> None:
    endpoint = parse_endpoint(url)

    assert (endpoint.url, endpoint.grpc_target) == (rest, grpc)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost",
        "http://",
        "http://ann:secret@localhost",
        "http://localhost/path",
        "http://localhost?x=1",
        "http://localhost:0",
        "http://localhost:99999",
        "http://lo cal",
        "http://localhost\r\nx",
        "",
        "http://[::1",
        "http://localhost:50051",
    ],
)
def test_what_is_no_address_of_two_halves_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be a URL|addresses of their own") as refused:
        parse_endpoint(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://mine.weaviate.cloud", True),
        ("https://mine.gcp.weaviate.cloud", True),
        ("mine.weaviate.network", True),
        ("http://mine.weaviate.cloud", False),
        ("https://mine.weaviate.cloud:8443", False),
        ("https://weaviate.cloud.evil.example", False),
        ("https://evilweaviate.cloud", False),
        ("https://169.254.169.254", False),
        ("https://localhost", False),
    ],
)
def test_callers_may_name_clusters_of_weaviate_cloud_only(url: str, is_fine: bool) -> None:
    assert is_allowed(parse_endpoint(url), CLOUD) is is_fine


def test_config_may_allow_other_servers_by_scheme_host_and_port() -> None:
    patterns = WeaviateConfig(caller_clusters=("http://10.0.0.5:8080",)).caller_clusters

    assert is_allowed(parse_endpoint("http://10.0.0.5:8080"), patterns)
    assert not is_allowed(parse_endpoint("http://10.0.0.5:8081"), patterns)
    assert not is_allowed(parse_endpoint("https://10.0.0.5:8080"), patterns)


@pytest.mark.parametrize(
    "pattern", ["*", "https://*", "https://*.cloud", "*.weaviate.cloud", "https://a*.b.c", "ftp://a.b"]
)
def test_pattern_that_allows_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="must be like"):
        WeaviateConfig.model_validate({"caller_clusters": [pattern]})


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": "localhost:8080"}, "url"),
        ({"url": "http://localhost:8080", "grpc_port": 8080}, "grpc_port"),
        ({"collection_prefix": "lower"}, "collection_prefix"),
        ({"tenant": "a b"}, "tenant"),
        ({"query_timeout_s": 0}, "query_timeout_s"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_wrong_config_is_refused_by_field(config: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        WeaviateConfig.model_validate(config)


def test_empty_config_of_published_run_configs_is_one_without_a_server() -> None:
    assert WeaviateConfig.model_validate({"url": "", "api_key": ""}).endpoint is None


def test_keys_are_in_no_repr() -> None:
    config = WeaviateConfig.model_validate({"api_key": "very-secret"})
    data = WeaviateProviderData.model_validate({"weaviate_api_key": "very-secret"})

    assert "very-secret" not in repr(config) + repr(data)
