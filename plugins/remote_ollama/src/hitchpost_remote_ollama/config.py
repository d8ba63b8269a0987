"""What a run config says of a provider of the type `remote::ollama`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from hitchpost_remote_ollama.model_settings import ContextTokens, KeepAlive, ModelSettings, Think


def _server_url(text: str) -> str:
    # The default of a run config of 2024 may end in a slash, and what OpenAI's clients are given is another path.
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("must be a URL such as http://localhost:11434")
    return text.rstrip("/").removesuffix("/api")


Seconds = Annotated[float, Field(gt=0)]


class OllamaConfig(BaseModel):
    """One Ollama server, and how its models are run unless their metadata say otherwise."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    url: Annotated[str, AfterValidator(_server_url)] = "http://localhost:11434"
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
    connect_timeout_s: Seconds = 10.0
    """How long connecting may take."""
    first_byte_timeout_s: Seconds = 300.0
    """How long the server may be silent before its answer begins; it is while it loads a model or others are before us."""
    between_chunks_timeout_s: Seconds = 60.0
    """How long it may be silent in the middle of an answer; it is while a call of a tool is written."""
    total_timeout_s: Seconds = 3600.0
    """How long a whole answer may take."""
    ca_file: Path | None = None
    """Certificates of authorities, in PEM, that vouch for an `https` server, beside those that the system knows."""

    def settings(self, own: ModelSettings) -> ModelSettings:
        """The settings of a model, completed by this config."""
        fallback = {
            name: getattr(self, name) for name in ("num_ctx", "keep_alive", "think") if getattr(own, name) is None
        }
        return own.model_copy(update=fallback)


__all__ = ["OllamaConfig"]
