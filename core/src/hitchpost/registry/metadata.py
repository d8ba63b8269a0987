"""What the metadata of a model may say where the host itself reads it."""

from hitchpost.api import Capability, RegisterModelRequest
from hitchpost.errors import BadRequestError, quoted
from hitchpost.llama import find_llama_model


def check_metadata(request: RegisterModelRequest) -> None:
    """Raises BadRequestError where `metadata.llama_model` names no known Llama model, or `metadata.capabilities` no capabilities."""
    metadata = request.metadata or {}
    llama_model = metadata.get("llama_model")
    if llama_model is not None and (not isinstance(llama_model, str) or find_llama_model(llama_model) is None):
        message = f"metadata.llama_model {quoted(llama_model)} is no known Llama model; give the repository id of one, or leave it out"
        raise BadRequestError(message, param="metadata.llama_model")
    capabilities = metadata.get("capabilities") or []
    if not isinstance(capabilities, list) or not all(capability in list(Capability) for capability in capabilities):
        message = f"metadata.capabilities must be a list of some of: {', '.join(Capability)}"
        raise BadRequestError(message, param="metadata.capabilities")


__all__ = ["check_metadata"]
