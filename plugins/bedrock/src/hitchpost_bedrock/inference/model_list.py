"""What the region has, as models of ours. Pure; pages were put together before."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hitchpost.api import Capability, Model
from hitchpost_bedrock.inference.embeddings import find_family
from hitchpost_bedrock.inference.model_names import find_llama
from hitchpost_bedrock.plugin import provider_specs

_ALL = provider_specs()[0].capabilities


def models_of(summaries: Iterable[Mapping[str, Any]], profiles: Iterable[Mapping[str, Any]]) -> list[Model]:
    """The models that answer in text or vectors.

    Args:
        summaries: of ListFoundationModels. Those that only a profile can call, or that need capacity of one's own, are left out.
        profiles: of ListInferenceProfiles.
    """
    by_id = {str(summary.get("modelId")): summary for summary in summaries}
    models = [
        Model(provider_resource_id=model_id, metadata=metadata_of(model_id, summary))
        for model_id, summary in by_id.items()
        if "ON_DEMAND" in summary.get("inferenceTypesSupported", ["ON_DEMAND"]) and _is_ours(summary)
    ]
    return models + list(_profile_models(profiles, by_id))


def _profile_models(profiles: Iterable[Mapping[str, Any]], by_id: Mapping[str, Mapping[str, Any]]) -> Iterator[Model]:
    for profile in profiles:
        arns = [str(model.get("modelArn")) for model in profile.get("models", ())]
        bases = {arn.rpartition("/")[2] for arn in arns}
        summary = next((by_id[base] for base in bases if base in by_id), None)
        if profile.get("status", "ACTIVE") != "ACTIVE" or summary is None or not _is_ours(summary):
            continue
        name = profile["inferenceProfileId"] if profile.get("type") != "APPLICATION" else profile["inferenceProfileArn"]
        base = str(summary["modelId"])
        yield Model(provider_resource_id=name, metadata={**metadata_of(base, summary), "base_model": base})


def _is_ours(summary: Mapping[str, Any]) -> bool:
    outputs = summary.get("outputModalities", ())
    return "TEXT" in outputs or ("EMBEDDING" in outputs and find_family(str(summary["modelId"])) is not None)


def metadata_of(model_id: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a model, as metadata."""
    family = find_family(model_id)
    if family is not None:
        return {
            "model_type": "embedding",
            "embedding_dimension": family.default_dimension,
            "capabilities": [Capability.embeddings.value],
        }
    llama = find_llama(model_id)
    lacking = {Capability.embeddings}
    if not model_id.startswith("meta."):
        lacking.add(Capability.completion)
    if "IMAGE" not in summary.get("inputModalities", ("IMAGE",)):
        lacking.add(Capability.vision)
    metadata: dict[str, Any] = {
        "model_type": "llm",
        "capabilities": sorted(capability.value for capability in _ALL - lacking),
    }
    if summary.get("responseStreamingSupported") is False:
        metadata["streaming"] = False
    if llama is not None:
        metadata |= {"llama_model": llama.repo, "context_length": llama.context_length}
    return metadata


__all__ = ["metadata_of", "models_of"]
