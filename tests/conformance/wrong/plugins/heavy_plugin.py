"""A plugin whose module loads a library."""

import aiohttp

from hitchpost import hookimpl
from hitchpost.plugin import ProviderSpec

USER_AGENT = aiohttp.http.SERVER_SOFTWARE


@hookimpl
def provider_specs() -> list[ProviderSpec]:
    return [
        ProviderSpec(
            api="inference",
            provider_type="inline::heavy",
            config="tests.conformance.right.inference:RightConfig",
            factory="tests.conformance.right.inference:RightInference",
        )
    ]
