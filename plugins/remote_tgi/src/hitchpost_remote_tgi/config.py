"""What a run config says of a provider of this distribution."""

from typing import Annotated

from pydantic import Field, SecretStr

from hitchpost.remote import RemoteConfig, Seconds, ServerUrl


class TgiConfig(RemoteConfig):
    """A text-generation-inference server of one's own."""

    api_token: SecretStr | None = None
    """The key that the server was started with (`--api-key`)."""


class ServerlessConfig(RemoteConfig):
    """A model of Hugging Face's serverless inference."""

    huggingface_repo: Annotated[str, Field(pattern=r"^[\w.\-]+(/[\w.\-]+)?$")]
    """The model's repository, such as `meta-llama/Llama-3.1-8B-Instruct`."""
    api_token: SecretStr | None = None
    """A token of Hugging Face."""
    url: ServerUrl = "https://router.huggingface.co/hf-inference"
    """Where the service listens; the model is found at `URL/models/REPO`."""

    @property
    def model_url(self) -> str:
        """Where the model is asked."""
        return f"{self.url}/models/{self.huggingface_repo}"


class EndpointConfig(RemoteConfig):
    """A Hugging Face Inference Endpoint."""

    endpoint_name: Annotated[str, Field(pattern=r"^[\w.\-]+/[\w.\-]+$")]
    """`NAMESPACE/NAME`, as the console of Hugging Face shows it."""
    api_token: SecretStr | None = None
    """A token of Hugging Face that may read the endpoint and ask it."""
    url: ServerUrl = "https://api.endpoints.huggingface.cloud"
    """Where the service listens that knows the endpoints; it says where the endpoint itself is."""
    wake_timeout_s: Seconds = 600.0
    """How long an endpoint may take to get up; requests wait for it, as long as their own time allows."""
    wake_poll_s: Seconds = 2.0
    """How often an endpoint that is getting up is looked at."""


__all__ = ["EndpointConfig", "ServerlessConfig", "TgiConfig"]
