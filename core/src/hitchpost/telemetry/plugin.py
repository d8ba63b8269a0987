"""What the core offers as a plugin of telemetry: the provider type `inline::meta-reference`."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api
from hitchpost.plugin import ProviderSpec

HITCHPOST_PLUGIN_API = 1


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The built-in telemetry."""
    return (
        ProviderSpec(
            api=Api.telemetry,
            provider_type="inline::meta-reference",
            config="hitchpost.telemetry.provider:TelemetryConfig",
            factory="hitchpost.telemetry.provider:StoredTelemetry",
            state="shared",
            description="Keeps traces, those of the host's own requests among them, in a key-value store.",
        ),
    )
