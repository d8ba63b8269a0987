"""What the entry point names: the provider type as data. Imported at every start, so it imports nothing but Hitchpost."""

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> list[ProviderSpec]:
    """The provider types of this package."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::acme",
            config="hitchpost_acme.config:AcmeConfig",
            factory="hitchpost_acme.provider:AcmeInference",
            # Whatever is not in this set is answered `unsupported` before it reaches you.
            capabilities=frozenset({Capability.chat}),
            description="Answers by a table, or repeats what it hears.",
        )
    ]
