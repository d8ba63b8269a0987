"""Who calls AWS, and where: as the config says it, and as a request may say it in its provider data."""

from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

BLANK_IS_NONE = BeforeValidator(lambda value: None if value == "" else value)
"""A placeholder whose variable isn't set gives an empty text."""


def _in_one_word(secret: SecretStr | None) -> SecretStr | None:
    text = "" if secret is None else secret.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be ASCII without spaces and line breaks: it goes into a header")
    return secret


Secret = Annotated[SecretStr | None, BLANK_IS_NONE]
SentSecret = Annotated[SecretStr | None, AfterValidator(_in_one_word), BLANK_IS_NONE]
Region = Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]{1,12}){1,3}-\d{1,2}$")]
"""Such as `us-east-1`. It becomes part of a host name, so nothing else gets through."""


class AwsKeys(BaseModel):
    """An access key; both halves or none."""

    model_config = ConfigDict(hide_input_in_errors=True, use_attribute_docstrings=True)

    aws_access_key_id: SentSecret = None
    """Absent: whatever boto3 finds in the environment, the profile, or the machine's role."""
    aws_secret_access_key: Secret = None
    """The other half of `aws_access_key_id`."""
    aws_session_token: SentSecret = None
    """Only for temporary keys."""

    @model_validator(mode="after")
    def _has_both_halves(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key belong together; one of them is missing")
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError("aws_session_token needs aws_access_key_id and aws_secret_access_key")
        return self


class AwsProviderData(AwsKeys):
    """Credentials that a caller brings for its own request, where the config has none; they take the place of those of the environment, whole."""

    model_config = ConfigDict(extra="ignore")

    aws_region: Annotated[Region | None, BLANK_IS_NONE] = None
    """Absent: the provider's."""

    def identity(self) -> "Identity | None":
        """Who the caller is; None where the data is for other providers."""
        return identity_of(self, self.aws_region)


@dataclass(frozen=True, slots=True)
class Identity:
    """A set of keys, and the region to use them in."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    region: str | None


def identity_of(keys: AwsKeys, region: str | None) -> Identity | None:
    """The identity that these keys are; None where there are no keys."""
    if keys.aws_access_key_id is None or keys.aws_secret_access_key is None:
        return None
    token = None if keys.aws_session_token is None else keys.aws_session_token.get_secret_value()
    return Identity(
        keys.aws_access_key_id.get_secret_value(), keys.aws_secret_access_key.get_secret_value(), token, region
    )


__all__ = ["BLANK_IS_NONE", "AwsKeys", "AwsProviderData", "Identity", "Region", "identity_of"]
