"""How AWS is reached: the fields that every provider of this package has."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from hitchpost.plugin import ConfigPath
from hitchpost_bedrock.aws.credentials import BLANK_IS_NONE, AwsKeys, Region


class AwsConfig(AwsKeys):
    """What is absent, boto3 finds in the environment and in its own files."""

    model_config = ConfigDict(extra="forbid")

    region_name: Annotated[Region | None, BLANK_IS_NONE] = None
    """Such as `us-east-1`; absent: `AWS_DEFAULT_REGION`, the profile's, or `AWS_REGION`."""
    profile_name: Annotated[str | None, BLANK_IS_NONE] = None
    """A profile of the shared config and credentials files."""
    endpoint_url: Annotated[str | None, BLANK_IS_NONE, Field(pattern=r"^https?://")] = None
    """Where both services of Bedrock are reached, such as a VPC endpoint; absent: the region's own."""
    ca_bundle: ConfigPath | None = None
    """File with the certificates to trust; absent: `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`, or those that come with botocore."""
    total_max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    """How often a call is made at most; absent: as boto3's environment says, else 5."""
    retry_mode: Literal["legacy", "standard", "adaptive"] | None = None
    """How botocore retries; absent: as boto3's environment says, else `legacy`."""
    connect_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds until a connection must stand."""
    read_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that a stream, or a listing, may say nothing. Whole answers may take as long as `limits.timeout_s` allows."""
    session_ttl: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds for which connections under credentials that a caller brought are kept."""
    max_connections: Annotated[int, Field(ge=1, le=1024)] = 64
    """Calls that run at once, each in a thread; more of them wait for one of these to end."""

    @property
    def names_credentials(self) -> bool:
        """Whether it says whose account is used, so that neither the environment nor a caller does."""
        return self.aws_access_key_id is not None or self.profile_name is not None


__all__ = ["AwsConfig"]
