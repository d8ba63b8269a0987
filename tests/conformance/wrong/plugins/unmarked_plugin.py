"""A plugin with a hook that lacks its marker."""

from hitchpost import hookimpl
from hitchpost.plugin import Preset, ProviderSpec


@hookimpl
def provider_specs() -> list[ProviderSpec]:
    return [
        ProviderSpec(
            api="inference",
            provider_type="inline::unmarked",
            config="tests.conformance.right.inference:RightConfig",
            factory="tests.conformance.right.inference:RightInference",
        )
    ]


def presets() -> list[Preset]:
    return []
