"""Says that it needs a newer plugin contract; its hook must not even be called."""

from hitchpost import hookimpl

HITCHPOST_PLUGIN_API = 99


@hookimpl
def provider_specs():
    raise AssertionError("a plugin of a newer contract was asked for its provider types")
