"""The config of `remote::bedrock` for inference, and what a model's metadata may say."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hitchpost.errors import BadRequestError
from hitchpost_bedrock.aws.config import AwsConfig


class GuardrailFields(BaseModel):
    """A guardrail of Bedrock that requests pass through."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    guardrail_identifier: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """Id or ARN of a guardrail; absent: none."""
    guardrail_version: Annotated[str, Field(pattern=r"^([1-9][0-9]{0,7}|DRAFT)$")] | None = None
    """Its version: a number, or `DRAFT`."""
    guardrail_trace: Literal["enabled", "disabled", "enabled_full"] | None = None
    """Whether Bedrock says what the guardrail found."""
    guardrail_stream_mode: Literal["sync", "async"] | None = None
    """`async`: chunks don't wait for the guardrail, so some may be shown that it then forbids."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.guardrail_identifier is None) != (self.guardrail_version is None):
            raise ValueError("guardrail_identifier and guardrail_version belong together; one of them is missing")
        return self


class BedrockInferenceConfig(AwsConfig, GuardrailFields):
    """How Bedrock is reached, and the guardrail of all models."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ModelSettings(GuardrailFields):
    """Keys of a model's `metadata` that are ours. A guardrail of the config can't be taken off by them."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    base_model: str | None = None
    """The id of the model behind an ARN that doesn't say it."""
    streaming: bool = True
    """Whether the model can answer in pieces; some can't."""
    input_type: Literal["search_document", "search_query", "classification", "clustering"] = "search_document"
    """What Cohere's vectors are for."""
    additional_model_request_fields: dict[str, Any] = {}
    """Passed on as they are, beside what the request says."""

    def guardrail(self, config: GuardrailFields) -> GuardrailFields:
        """The guardrail of this model under a config."""
        return config if config.guardrail_identifier is not None else self


def read_settings(metadata: Mapping[str, Any]) -> ModelSettings:
    """The settings in a model's metadata.

    Raises:
        BadRequestError: one of them can't be; the message names it.
    """
    try:
        return ModelSettings.model_validate(metadata)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(["metadata", *map(str, first["loc"])])
        raise BadRequestError(f"{where}: {first['msg'].removeprefix('Value error, ')}", param=where) from error


__all__ = ["BedrockInferenceConfig", "GuardrailFields", "ModelSettings", "read_settings"]
