"""Hitchpost: a plugin framework and host for Llama-stack-style AI backends.

Plugin authors start at `hitchpost.plugin.hookspecs`; the marker that they put on their package hooks is here.
"""

from pluggy import HookimplMarker

__version__ = "0.1.0"

PLUGIN_API = 1
"""The plugin contract that this core speaks; a plugin says with `HITCHPOST_PLUGIN_API` for which one it was written."""

hookimpl = HookimplMarker("hitchpost")
"""Marks a package-level function as the implementation of a hook of `hitchpost.plugin.hookspecs`."""

__all__ = ["PLUGIN_API", "__version__", "hookimpl"]
