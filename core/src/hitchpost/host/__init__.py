"""The HTTP side: the native and the OpenAI surface, the host's own operations, and serving them."""

from hitchpost.host.app import make_app, make_runner
from hitchpost.host.logs import configure_logging
from hitchpost.host.serve import serve
from hitchpost.host.settings import HostSettings

__all__ = ["HostSettings", "configure_logging", "make_app", "make_runner", "serve"]
