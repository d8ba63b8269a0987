"""What a run config says of a provider of the types `remote::openai`, `remote::vllm`, `remote::together` and `remote::fireworks`."""

from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator

from hitchpost.remote import RemoteConfig, ServerUrl
from hitchpost_remote_openai.services import FIREWORKS, OPENAI, TOGETHER, VLLM, MaxTokensField, SchemaForm, Service


def _versioned(url: str) -> str:
    # Fireworks' old address ends in its product's name.
    return f"{url}/v1" if urlsplit(url).path in ("", "/inference") else url


BaseUrl = Annotated[ServerUrl, AfterValidator(_versioned)]


class OpenAIConfig(RemoteConfig):
    """One server that speaks OpenAI's form."""

    service: ClassVar[Service] = OPENAI

    url: BaseUrl = "https://api.openai.com/v1"
    """Where its routes are, such as `/chat/completions`; `/v1` is added to an address without a path."""
    api_key: Annotated[SecretStr | None, Field(validation_alias=AliasChoices("api_key", "api_token"))] = None
    """Sent as bearer token; absent: the key that a request brings in its provider data. `api_token` is the same."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Bound of answers to requests that name none; absent: the server's own."""
    max_tokens_field: MaxTokensField = "max_completion_tokens"
    """The name by which the server takes that bound in chats: `max_completion_tokens`, or the older `max_tokens`."""
    schema_form: SchemaForm = "json_schema"
    """How it takes JSON schemas: `json_schema`, `json_object`, `guided_json` or `structured_outputs`."""

    @field_validator("api_key", mode="after")
    @classmethod
    def _without_placeholder(cls, key: SecretStr | None) -> SecretStr | None:
        # Run configs of 2024 hold an empty text, or the word that stood for no key.
        return None if key is None or key.get_secret_value().strip() in ("", "fake") else key


class VllmConfig(OpenAIConfig):
    """One vLLM server."""

    service: ClassVar[Service] = VLLM

    url: BaseUrl = "http://localhost:8000/v1"
    max_tokens_field: MaxTokensField = "max_tokens"

    @field_validator("url", mode="before")
    @classmethod
    def _null_is_default(cls, url: Any) -> Any:
        return cls.model_fields["url"].default if url is None else url


class TogetherConfig(OpenAIConfig):
    """The hosted service Together."""

    service: ClassVar[Service] = TOGETHER

    url: BaseUrl = "https://api.together.xyz/v1"
    max_tokens_field: MaxTokensField = "max_tokens"
    schema_form: SchemaForm = "json_object"


class FireworksConfig(OpenAIConfig):
    """The hosted service Fireworks."""

    service: ClassVar[Service] = FIREWORKS

    url: BaseUrl = "https://api.fireworks.ai/inference/v1"
    max_tokens_field: MaxTokensField = "max_tokens"
    schema_form: SchemaForm = "json_object"


# --- what a caller may send with a request ---


class _Keys(BaseModel):
    model_config = ConfigDict(extra="ignore")

    @field_validator("*", mode="after")
    @classmethod
    def _empty_is_none(cls, key: SecretStr | None) -> SecretStr | None:
        return key if key is not None and key.get_secret_value().strip() else None


class OpenAIKeys(_Keys):
    """For `remote::openai`."""

    openai_api_key: SecretStr | None = None


class VllmKeys(_Keys):
    """For `remote::vllm`."""

    vllm_api_token: SecretStr | None = None


class TogetherKeys(_Keys):
    """For `remote::together`."""

    together_api_key: SecretStr | None = None


class FireworksKeys(_Keys):
    """For `remote::fireworks`."""

    fireworks_api_key: SecretStr | None = None


__all__ = [
    "FireworksConfig",
    "FireworksKeys",
    "OpenAIConfig",
    "OpenAIKeys",
    "TogetherConfig",
    "TogetherKeys",
    "VllmConfig",
    "VllmKeys",
]
