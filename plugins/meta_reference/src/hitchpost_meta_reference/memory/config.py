"""What a run config says of a provider of the types `inline::sqlite` and `inline::faiss`."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hitchpost.ingest import IngestConfig


class MemoryConfig(BaseModel):
    """Config of `inline::sqlite`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    ingest: IngestConfig = Field(default_factory=IngestConfig)
    """How documents are fetched, read and cut."""
    faiss_above_chunks: Annotated[int, Field(ge=0)] | None = 250_000
    """A vector bank with more chunks is searched through faiss, where that is installed; null: every bank exactly."""
    max_documents_per_bank: Annotated[int, Field(ge=1)] = 1_000_000
    """A bank takes no more documents."""
    max_chunks_per_bank: Annotated[int, Field(ge=1)] = 2_000_000
    """A bank takes no more chunks."""
    max_open_banks: Annotated[int, Field(ge=1, le=1000)] = 32
    """Banks that are kept open while nobody uses them."""
    max_vectors_mib: Annotated[int, Field(ge=1)] = 4096
    """What vectors take in memory before unused banks are closed."""
    search_threads: Annotated[int, Field(ge=1, le=64)] = 4
    """How many searches run at once."""


class FaissMemoryConfig(MemoryConfig):
    """Config of `inline::faiss`: as `inline::sqlite`, through faiss earlier, and with what llama-stack's run configs say."""

    faiss_above_chunks: Annotated[int, Field(ge=0)] | None = 10_000
    """A vector bank with more chunks is searched through faiss, where that is installed; null: every bank exactly."""
    kvstore: dict[str, Any] | None = None
    """Has no effect, since banks have files of their own; accepted because run configs of llama-stack have it."""


__all__ = ["FaissMemoryConfig", "MemoryConfig"]
