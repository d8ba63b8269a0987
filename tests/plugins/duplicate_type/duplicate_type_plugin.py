"""Declares `inline::scripted` for inference, which the core's own plugin declares as well."""

from hitchpost import hookimpl
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs():
    return [
        ProviderSpec(
            api="inference",
            provider_type="inline::scripted",
            config="duplicate_type_plugin:NoConfig",
            factory="duplicate_type_plugin:NoProvider",
            description="must never be built",
        )
    ]
