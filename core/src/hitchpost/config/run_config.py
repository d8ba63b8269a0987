"""The run config, version 2: what an operator writes into a YAML file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hitchpost.api import RegisterMemoryBankRequest, RegisterModelRequest, RegisterShieldRequest
from hitchpost.store import StoreConfig

ProviderId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
MAX_SECONDS = 7 * 24 * 3600.0
"""A week: longer is a mistake of the unit, and an event loop's clock has an end."""
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]


class ConfigModel(BaseModel):
    """Keys that aren't known are an error: a typing mistake must not be a silent default."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class ProviderLimits(ConfigModel):
    """What a provider is asked at once and for how long."""

    max_concurrent: Annotated[int, Field(ge=1)] = 256
    """Requests that it works on at the same time."""
    max_queued: Annotated[int, Field(ge=0)] = 1024
    """Requests that wait for their turn; one more is answered `overloaded`."""
    queue_timeout_s: Seconds = 30
    """How long a request waits for its turn."""
    timeout_s: Seconds = 600
    """Within how many seconds an answer must be whole."""


def _nothing_is_empty(value: Any) -> Any:
    return {} if value is None else value


class ProviderEntry(ConfigModel):
    """A provider: a configured instance of a provider type."""

    provider_id: ProviderId
    provider_type: Annotated[str, Field(min_length=1)]
    config: Annotated[dict[str, Any], BeforeValidator(_nothing_is_empty)] = Field(default_factory=dict)
    """What the provider type takes."""
    limits: ProviderLimits = Field(default_factory=ProviderLimits)


class PluginsSection(ConfigModel):
    """Which plugins are loaded; installed does not mean loaded."""

    allow: list[str] | None = None
    """Only these, by plugin or distribution name; absent: all that are installed."""
    deny: list[str] = Field(default_factory=list)
    paths: list[Path] = Field(default_factory=list)
    """Python files to load as plugins, relative to the run config."""


class ServerConfig(ConfigModel):
    """How the host listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    """0: any free port."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    """The largest request body that is read, also after inflating a compressed one."""
    shutdown_timeout_s: Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)] = 30
    """How long streams may go on after the host was told to stop."""
    allowed_hosts: list[str] = Field(default_factory=list)
    """Further `Host` names that requests may carry while the host listens on a loopback address, as behind a proxy of the same machine."""


def _version_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


class RunConfig(ConfigModel):
    """A whole run config."""

    version: Annotated[Literal["2"], BeforeValidator(_version_text)] = "2"
    image_name: str | None = None
    apis: list[str] = Field(default_factory=list)
    """APIs to serve; empty: every API that has a provider."""
    providers: dict[str, list[ProviderEntry]] = Field(default_factory=dict)
    presets: list[str] = Field(default_factory=list)
    """Presets to build beside the providers."""
    models: list[RegisterModelRequest] = Field(default_factory=list)
    shields: list[RegisterShieldRequest] = Field(default_factory=list)
    memory_banks: list[RegisterMemoryBankRequest] = Field(default_factory=list)
    metadata_store: StoreConfig | None = None
    """Where registrations are kept."""
    plugins: PluginsSection = Field(default_factory=PluginsSection)
    server: ServerConfig = Field(default_factory=ServerConfig)


OBSOLETE_KEYS = ("docker_image", "conda_env", "built_at", "container_image", "datasets", "scoring_fns", "eval_tasks")
"""Keys of published run configs that mean nothing here."""

__all__ = [
    "OBSOLETE_KEYS",
    "ConfigModel",
    "PluginsSection",
    "ProviderEntry",
    "ProviderId",
    "ProviderLimits",
    "RunConfig",
    "ServerConfig",
]
