"""What a run config says of a provider of the type `remote::weaviate`, and what a caller may bring with a request."""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from hitchpost.ingest import IngestConfig
from hitchpost.remote import Seconds, ServerUrl
from hitchpost_weaviate.addresses import ClusterPattern, Endpoint, parse_endpoint

BLANK_IS_NONE = BeforeValidator(lambda value: None if value == "" else value)
"""A placeholder whose variable isn't set gives an empty text."""


class WeaviateConfig(BaseModel):
    """One Weaviate server. Without a `url` callers bring their own."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    url: Annotated[ServerUrl | None, BLANK_IS_NONE] = None
    """Where the server's REST API listens; absent: each caller brings a `weaviate_cluster_url`."""
    grpc_host: Annotated[str | None, BLANK_IS_NONE] = None
    """Where gRPC listens; absent: the host of `url`, or the one that Weaviate Cloud has for it."""
    grpc_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Absent: 50051, and 443 in Weaviate Cloud."""
    api_key: Annotated[SecretStr | None, BLANK_IS_NONE] = None
    """Sent to `url`, and nowhere else; absent: the server takes requests without one, or callers bring a `weaviate_api_key`."""
    caller_clusters: tuple[ClusterPattern, ...] = ("https://*.weaviate.cloud", "https://*.weaviate.network")
    """The servers that a `weaviate_cluster_url` may name: scheme, host and port; a host may begin with `*.`. Empty: none."""
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$")] | None = None
    """Collections are made with multi-tenancy and all that is kept belongs to this tenant; absent: without."""
    collection_prefix: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$")] = "Hitchpost"
    """What the names of collections begin with. Hosts that share a server and not their banks have different ones."""
    connect_timeout_s: Seconds = 5.0
    """How long connecting may take."""
    query_timeout_s: Seconds = 10.0
    """How long one call may take that reads."""
    write_timeout_s: Seconds = 60.0
    """How long one call may take that writes: a batch of chunks, a deletion, a collection."""
    sweep_interval_s: Seconds = 60.0
    """How long expired documents, which are found by nobody, stay on the server at most."""
    trust_env: bool = False
    """Whether proxies and certificates are taken from the environment: `HTTPS_PROXY`, `GRPC_PROXY`, `SSL_CERT_FILE` and the like."""
    ingest: IngestConfig = Field(default_factory=IngestConfig)
    """How documents are read, fetched and cut."""

    @model_validator(mode="after")
    def _has_two_addresses(self) -> Self:
        if self.url is not None:
            parse_endpoint(self.url, self.grpc_host, self.grpc_port)
        return self

    @property
    def endpoint(self) -> Endpoint | None:
        """The provider's own server."""
        return None if self.url is None else parse_endpoint(self.url, self.grpc_host, self.grpc_port)


class WeaviateProviderData(BaseModel):
    """A key for the provider's server, or a server of the caller's own, for one request."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    weaviate_api_key: Annotated[SecretStr | None, BLANK_IS_NONE] = None
    """In place of the provider's `api_key`."""
    weaviate_cluster_url: Annotated[str | None, BLANK_IS_NONE, Field(max_length=500)] = None
    """In place of the provider's `url`; it must be one of its `caller_clusters`."""


__all__ = ["WeaviateConfig", "WeaviateProviderData"]
