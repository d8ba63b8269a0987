"""Its package hook raises."""

from hitchpost import hookimpl


@hookimpl
def provider_specs():
    raise RuntimeError("the list of provider types could not be read")
