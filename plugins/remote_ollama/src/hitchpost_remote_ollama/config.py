"""What a run config says of a provider of the type `remote::ollama`."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr

from hitchpost.remote import RemoteConfig, Seconds, ServerUrl
from hitchpost_remote_ollama.model_settings import ContextTokens, KeepAlive, ModelSettings, Think


class OllamaConfig(RemoteConfig):
    """One Ollama server, and how its models are run unless their metadata say otherwise."""

    url: Annotated[ServerUrl, AfterValidator(lambda url: url.removesuffix("/api"))] = "http://localhost:11434"
    """Where the server listens."""
    api_key: SecretStr | None = None
    """Sent as bearer token, for the hosted service or a proxy; a local server needs none."""
    num_ctx: ContextTokens | None = None
    """Tokens of prompt and answer together; absent: the server's own, which is small. Another one than the model has loads it anew."""
    keep_alive: KeepAlive | None = None
    """How long a model stays in memory after a request: seconds, or a duration such as `10m`; below 0: for ever; absent: the server's own."""
    think: Think | None = None
    """Whether models that can think do so: `true`, `false`, `low`, `medium`, `high` or `max`; absent: as Ollama does, which is yes."""
    truncate: bool = False
    """Whether Ollama may leave out messages, or text, that doesn't fit into the context, without a word; if not, that is an error."""
    pull_timeout_s: Seconds = 6 * 3600.0
    """How long pulling a model may take."""

    def settings(self, own: ModelSettings) -> ModelSettings:
        """The settings of a model, completed by this config."""
        added = {
            name: value
            for name in ("num_ctx", "keep_alive", "think")
            if (value := getattr(self, name)) is not None and getattr(own, name) is None
        }
        return own.model_copy(update=added) if added else own


__all__ = ["OllamaConfig"]
