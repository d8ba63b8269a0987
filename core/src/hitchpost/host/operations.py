"""The host's own routes for whoever runs it: /health, /ready, /metrics, /openapi.json and /docs."""

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from hitchpost.host.json_text import json_response
from hitchpost.host.keys import LIFECYCLE, METRICS, STACK
from hitchpost.host.openapi import openapi_document


async def health(request: web.Request) -> web.StreamResponse:
    """200 while the process lives."""
    return json_response({"status": "OK"})


async def ready(request: web.Request) -> web.StreamResponse:
    """200 once the first build has ended and while the host isn't draining, else 503; the body shows each provider's state,
    and why registrations can't be shown or changed, if so."""
    stack = request.app[STACK]
    is_ready = stack.is_ready and not request.app[LIFECYCLE].is_draining
    providers = [
        {
            "api": gate.api.value,
            "provider_id": gate.provider_id,
            "provider_type": gate.provider_type,
            "state": gate.state.value,
            "reason": gate.reason or None,
            "since": gate.since.isoformat(),
        }
        for gate in stack.providers
    ]
    body = {"ready": is_ready, "providers": providers, "registrations_problem": stack.registrations_problem}
    return json_response(body, status=200 if is_ready else 503)


async def metrics(request: web.Request) -> web.StreamResponse:
    """The host's and the providers' figures in Prometheus' text format."""
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def openapi(request: web.Request) -> web.StreamResponse:
    """This host's OpenAPI document."""
    gates = request.app[STACK].providers
    provider_data = tuple((gate.provider_id, gate.provider_data) for gate in gates if gate.provider_data is not None)
    return json_response(openapi_document(provider_data))


async def docs(request: web.Request) -> web.StreamResponse:
    """A page that shows the OpenAPI document and loads nothing from elsewhere."""
    page = files("hitchpost.host").joinpath("docs.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _only_its_own(page), "X-Content-Type-Options": "nosniff"}
    return web.Response(text=page, content_type="text/html", headers=headers)


def _only_its_own(page: str) -> str:
    """A policy that lets the page run the script and the style that it was shipped with, and nothing else."""
    hashes = {}
    for tag in ("script", "style"):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0]
        hashes[tag] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return (
        f"default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'"
    )


OPERATIONS: dict[str, Any] = {
    "/health": health,
    "/ready": ready,
    "/metrics": metrics,
    "/openapi.json": openapi,
    "/docs": docs,
}
"""Path to handler; all are GET."""


def operation_routes() -> list[web.RouteDef]:
    """The routes as aiohttp takes them."""
    return [web.get(path, handler) for path, handler in OPERATIONS.items()]


__all__ = ["OPERATIONS", "operation_routes"]
