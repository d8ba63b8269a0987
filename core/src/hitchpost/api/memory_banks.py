"""The API memory_banks: the registry of where documents can be put."""

from typing import Annotated, Any, Literal, Protocol

from pydantic import AliasChoices, BeforeValidator, Field

from hitchpost.api.context import RequestContext
from hitchpost.api.resources import (
    AnyMemoryBank,
    GraphMemoryBank,
    KeyValueMemoryBank,
    KeywordMemoryBank,
    MemoryBank,
    VectorMemoryBank,
)
from hitchpost.api.routes import NoArguments, route
from hitchpost.api.wire_model import Identifier, WireModel

# --- values ---


class VectorBankParams(WireModel):
    """See `VectorMemoryBank`."""

    memory_bank_type: Literal["vector"] = "vector"
    embedding_model: str
    chunk_size_in_tokens: Annotated[int, Field(ge=1)]
    overlap_size_in_tokens: Annotated[int, Field(ge=0)] | None = None


class KeyValueBankParams(WireModel):
    """See `KeyValueMemoryBank`."""

    memory_bank_type: Literal["keyvalue"] = "keyvalue"


class KeywordBankParams(WireModel):
    """See `KeywordMemoryBank`."""

    memory_bank_type: Literal["keyword"] = "keyword"


class GraphBankParams(WireModel):
    """See `GraphMemoryBank`."""

    memory_bank_type: Literal["graph"] = "graph"


def _vector_without_tag(value: Any) -> Any:
    """0.0.53 read params without a tag as a vector bank's when the two required fields were there."""
    if isinstance(value, dict) and "memory_bank_type" not in value and "embedding_model" in value:
        return {**value, "memory_bank_type": "vector"}
    return value


BankParams = Annotated[
    VectorBankParams | KeyValueBankParams | KeywordBankParams | GraphBankParams,
    Field(discriminator="memory_bank_type"),
    BeforeValidator(_vector_without_tag),
]

_BANKS: dict[type[WireModel], type[MemoryBank]] = {
    VectorBankParams: VectorMemoryBank,
    KeyValueBankParams: KeyValueMemoryBank,
    KeywordBankParams: KeywordMemoryBank,
    GraphBankParams: GraphMemoryBank,
}

# --- requests ---


class RegisterMemoryBankRequest(WireModel):
    """Names a memory bank of a provider; entries under `memory_banks` of a run config have the same form."""

    memory_bank_id: Identifier
    params: BankParams
    provider_id: str | None = None
    """May be left out while one provider serves memory."""
    provider_memory_bank_id: Identifier | None = None
    """The provider's name for it; absent: `memory_bank_id`."""

    def resource(self, provider_id: str) -> MemoryBank:
        """The bank as it is to be owned by `provider_id`."""
        return _BANKS[type(self.params)](
            identifier=self.memory_bank_id,
            provider_resource_id=self.provider_memory_bank_id or self.memory_bank_id,
            provider_id=provider_id,
            **dict(self.params),
        )


class GetMemoryBankRequest(WireModel):
    """`identifier` is accepted in place of `memory_bank_id`."""

    memory_bank_id: Annotated[str, Field(validation_alias=AliasChoices("memory_bank_id", "identifier"))]


class UnregisterMemoryBankRequest(WireModel):
    """Names the registration that is to end."""

    memory_bank_id: str


# --- protocol ---


class MemoryBanks(Protocol):
    """The registered memory banks."""

    @route("GET", "/memory-banks/list", NoArguments)
    async def list_memory_banks(self, request: NoArguments, context: RequestContext) -> list[AnyMemoryBank]:
        """Every memory bank that a request may name."""
        ...

    @route("GET", "/memory-banks/get", GetMemoryBankRequest)
    async def get_memory_bank(self, request: GetMemoryBankRequest, context: RequestContext) -> AnyMemoryBank | None:
        """One memory bank, or None where there is no such bank."""
        ...

    @route("POST", "/memory-banks/register", RegisterMemoryBankRequest)
    async def register_memory_bank(self, request: RegisterMemoryBankRequest, context: RequestContext) -> AnyMemoryBank:
        """Announce a memory bank to its provider and, if it accepts, keep it."""
        ...

    @route("POST", "/memory-banks/unregister", UnregisterMemoryBankRequest)
    async def unregister_memory_bank(self, request: UnregisterMemoryBankRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        ...


__all__ = [
    "BankParams",
    "GetMemoryBankRequest",
    "GraphBankParams",
    "KeyValueBankParams",
    "KeywordBankParams",
    "MemoryBanks",
    "RegisterMemoryBankRequest",
    "UnregisterMemoryBankRequest",
    "VectorBankParams",
]
