"""What `config` of a provider may say in a run config."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class AcmeConfig(BaseModel):
    """Unknown keys are refused: a misspelt setting must not go unnoticed."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    models: Annotated[list[str], Field(min_length=1)] = ["acme-small"]
    """What it serves, by the backend's own names."""
    answers: dict[str, str] = {}
    """What it says to a message that contains the key, in upper or lower case."""
    word_delay_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long it thinks before each word, in seconds."""

    # Your backend's settings go here. A key is a pydantic.SecretStr, so that nothing prints it; numbers carry their unit (`timeout_s`).
