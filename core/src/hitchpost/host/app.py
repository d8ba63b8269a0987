"""The application: every route of every surface over one stack."""

import time

from aiohttp import web

from hitchpost.host.answering import Answering
from hitchpost.host.browser_guard import BrowserGuard
from hitchpost.host.connection import HostRunner
from hitchpost.host.keys import ANSWER, LIFECYCLE, METRICS, SETTINGS, STACK, STARTED_AT
from hitchpost.host.lifecycle import Lifecycle
from hitchpost.host.metrics import HostMetrics
from hitchpost.host.native.routes import native_routes, october_2024_routes
from hitchpost.host.openai.routes import openai_routes
from hitchpost.host.operations import operation_routes
from hitchpost.host.own.routes import own_routes
from hitchpost.host.settings import HostSettings
from hitchpost.stack import Stack

LINGER_S = 1.0


def make_app(
    stack: Stack,
    *,
    listen_host: str | None = None,
    settings: HostSettings | None = None,
) -> web.Application:
    """An application that serves the stack, to be run by `make_runner`; it neither starts nor stops the stack.

    Args:
        stack: what is served.
        listen_host: the address that the host listens on; None: as the run config says.
        settings: time limits of the HTTP side.
    """
    lifecycle = Lifecycle()
    metrics = HostMetrics(stack.providers, lifecycle)
    guard = BrowserGuard(stack.server.host if listen_host is None else listen_host, stack.server.allowed_hosts)
    app = web.Application()
    app[ANSWER] = Answering(app, guard, lifecycle, metrics, stack.tracer).answer
    app[STACK] = stack
    app[LIFECYCLE] = lifecycle
    app[METRICS] = metrics
    app[SETTINGS] = settings or HostSettings()
    app[STARTED_AT] = int(time.time())
    app.add_routes([*operation_routes(), *openai_routes(), *own_routes(), *native_routes(), *october_2024_routes()])
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """The runner that the application must be served by: its options are part of how the host behaves."""
    return HostRunner(
        app,
        access_log=None,
        # Cancels a handler when its client leaves, which is what ends the work behind it.
        handler_cancellation=True,
        # Bodies are inflated by `read_body`, in steps and up to a limit.
        auto_decompress=False,
        keepalive_timeout=app[SETTINGS].idle_connection_s,
        # By then every answer is out; what is left are clients that send on.
        shutdown_timeout=LINGER_S,
    )


__all__ = ["make_app", "make_runner"]
