"""The kit on `inline::meta-reference` with the trained checkpoint, through real engine processes."""

from hitchpost.api import Capability
from hitchpost.conformance import InferenceConformance
from hitchpost_meta_reference.inference.declarations import inference_spec
from hitchpost_tiny_llama.plugin import presets

[PRESET] = presets()
WHAT_THE_MODEL_CAN = sorted(inference_spec().capabilities - {Capability.tools, Capability.parallel_tool_calls})
METADATA = {**PRESET.resources[0].metadata, "capabilities": WHAT_THE_MODEL_CAN}


class TestMetaReferenceInference(InferenceConformance):
    provider_type = PRESET.provider_type
    config = PRESET.config
    model = PRESET.name
    model_metadata = METADATA
    long_prompt = "Tell me a long story."
