"""The kit's checks of vectors and of models on the embedding model that is installed as a package.

What the kit finds of a provider's life is the same for every model of `inline::meta-reference`; `tests/tiny_llama` has all of it.
"""

from hitchpost.conformance.inference.embeddings import EmbeddingChecks
from hitchpost.conformance.inference.registration import RegistrationChecks
from hitchpost_meta_reference.inference.declarations import inference_presets

[PRESET] = inference_presets()
METADATA = {**PRESET.resources[0].metadata, "capabilities": ["embeddings"]}


class TestMetaReferenceEmbeddings(EmbeddingChecks, RegistrationChecks):
    provider_type = PRESET.provider_type
    config = PRESET.config
    model = PRESET.config["model"]
    model_metadata = METADATA
    embedding_metadata = METADATA
