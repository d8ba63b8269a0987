"""Resources: registered objects, each owned by one provider.

A resource class says once which API serves it; the names of its provider hooks follow from its kind. Whatever handles resources in general
(registry, routing, reconciling) asks the class and has no branch per kind.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter

from hitchpost.api.api_name import Api
from hitchpost.api.wire_model import WireModel
from hitchpost.errors import BadRequestError, quoted

# --- values ---


class Resource(WireModel):
    """What every kind of resource has. A provider that lists what it serves fills only `provider_resource_id`."""

    model_config = ConfigDict(frozen=True)

    kind: ClassVar[str]
    """Singular name of the kind, which the hooks carry: `model` has `list_models`, `register_model`, `unregister_model`."""
    served_by: ClassVar[Api]
    """The API whose providers own resources of this kind."""

    identifier: str = ""
    """Name that callers use."""
    provider_resource_id: str
    """Name that the provider uses."""
    provider_id: str = ""
    type: str

    @classmethod
    def list_hook(cls) -> str:
        """Name of the provider hook that lists what a provider serves."""
        return f"list_{cls.kind}s"

    @classmethod
    def register_hook(cls) -> str:
        """Name of the provider hook that is told of a registration."""
        return f"register_{cls.kind}"

    @classmethod
    def unregister_hook(cls) -> str:
        """Name of the provider hook that is told that a registration ended."""
        return f"unregister_{cls.kind}"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A resource as it was kept; raises pydantic's ValidationError where the text is none."""
        return cls.model_validate_json(text)

    def copy_with(self, **changes: Any) -> Self:
        """The same resource with some fields changed."""
        return self.model_copy(update=changes)


class Model(Resource):
    """A model that an inference provider serves.

    Known metadata: `llama_model` (Hugging Face repository id of the Llama model it is), `model_type` (`llm` or `embedding`),
    `embedding_dimension`, `context_length` in tokens, `capabilities` (a list that narrows the provider type's).
    """

    kind: ClassVar[str] = "model"
    served_by: ClassVar[Api] = Api.inference

    type: Literal["model"] = "model"
    metadata: dict[str, Any] = Field(default_factory=dict)

    def completed(self, provider_resource_id: str, known: Mapping[str, Any]) -> Self:
        """This registration by its provider's own name, with what the provider knows of the model where it says nothing itself.

        Raises:
            BadRequestError: it says another `embedding_dimension` than the provider knows; no bank could be made with such a model.
        """
        said, real = (metadata.get("embedding_dimension") for metadata in (self.metadata, known))
        if said is not None and real is not None and said != real:
            raise BadRequestError(
                f"metadata.embedding_dimension is {quoted(said, '')}, and the vectors of {quoted(provider_resource_id)} have {real} "
                f"numbers; say {real}, or leave it out",
                param="metadata.embedding_dimension",
            )
        return self.copy_with(provider_resource_id=provider_resource_id, metadata={**known, **self.metadata})


class Shield(Resource):
    """A check of conversations that a safety provider runs; `params` are the provider's own."""

    kind: ClassVar[str] = "shield"
    served_by: ClassVar[Api] = Api.safety

    type: Literal["shield"] = "shield"
    params: dict[str, Any] | None = None


class MemoryBank(Resource):
    """A place for documents at a memory provider. Each bank is one of the subclasses below, told apart by `memory_bank_type`."""

    kind: ClassVar[str] = "memory_bank"
    served_by: ClassVar[Api] = Api.memory

    type: Literal["memory_bank"] = "memory_bank"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A bank of the type that the text names."""
        bank: Self = _BANK.validate_json(text)
        return bank


class VectorMemoryBank(MemoryBank):
    """Documents are cut into chunks and found by the meaning of a query."""

    memory_bank_type: Literal["vector"] = "vector"
    embedding_model: str
    """Identifier of the model that makes the vectors."""
    chunk_size_in_tokens: Annotated[int, Field(ge=1)]
    overlap_size_in_tokens: Annotated[int, Field(ge=0)] | None = None


class KeyValueMemoryBank(MemoryBank):
    """Documents are found by their id."""

    memory_bank_type: Literal["keyvalue"] = "keyvalue"


class KeywordMemoryBank(MemoryBank):
    """Documents are found by the words of a query."""

    memory_bank_type: Literal["keyword"] = "keyword"


class GraphMemoryBank(MemoryBank):
    """Documents are found by the entities that they speak of."""

    memory_bank_type: Literal["graph"] = "graph"


AnyMemoryBank = Annotated[
    VectorMemoryBank | KeyValueMemoryBank | KeywordMemoryBank | GraphMemoryBank,
    Field(discriminator="memory_bank_type"),
]

_BANK: TypeAdapter[Any] = TypeAdapter(AnyMemoryBank)

RESOURCE_KINDS: tuple[type[Resource], ...] = (Model, Shield, MemoryBank)
"""Every kind of resource, in the order in which they are registered at a start."""

__all__ = [
    "RESOURCE_KINDS",
    "AnyMemoryBank",
    "GraphMemoryBank",
    "KeyValueMemoryBank",
    "KeywordMemoryBank",
    "MemoryBank",
    "Model",
    "Resource",
    "Shield",
    "VectorMemoryBank",
]
