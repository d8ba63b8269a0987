"""From a run config to a serving host, and what the person who started it is told."""

import asyncio
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hitchpost import __version__
from hitchpost.api import Api, Model, NoArguments, RequestContext
from hitchpost.cli.output import SetupError, show_line, show_table, show_warning
from hitchpost.cli.run_config import show_remarks
from hitchpost.config import read_run_config
from hitchpost.host import configure_logging, serve
from hitchpost.host.browser_guard import is_loopback
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.discovery import PluginReport, PluginState, discover_plugins
from hitchpost.stack import Stack, plan_loaded, plan_stack, select_plugins

SHOWN_MODELS = 10


def serve_config(config_path: Path | None, environ: Mapping[str, str], *, host: str | None, port: int | None) -> None:
    """Serve until a signal comes, then end the process with the host's status.

    Raises:
        ConfigError: the run config is wrong, its metadata_store can't be used, or the address can't be listened on.
        SetupError: there is no run config and nothing that works without one.
    """
    configure_logging(environ, sys.stderr)
    loaded = None if config_path is None else read_run_config(config_path, environ)
    if loaded is not None:
        show_remarks(loaded)
    config = None if loaded is None else loaded.config
    plugins = discover_plugins(select_plugins(config, config_path))
    for report in plugins.reports:
        _warn_of(report)
    if config is None and not any(report.presets for report in plugins.reports):
        raise SetupError(
            "nothing to serve: no installed plugin has a preset. Install one, such as hitchpost-tiny-llama, "
            "or name a run config: hitchpost run CONFIG"
        )
    catalog = build_catalog(plugins.reports)
    plan = plan_stack(None, plugins, catalog) if loaded is None else plan_loaded(loaded, plugins, catalog)
    stack = Stack(plan, plugins, catalog)
    for note in stack.notes:
        show_warning(note if loaded is None else loaded.located(note))
    if not stack.providers:
        show_warning("the run config names neither providers nor presets: nothing is served")
    status = asyncio.run(_serve(stack, host, port))
    sys.exit(status)


def _warn_of(report: PluginReport) -> None:
    whose = f"plugin {report.name} ({report.distribution})"
    if report.state is PluginState.failed:
        show_warning(f"{whose} can't be used: {report.stage}: {report.reason}")
    for warning in report.warnings:
        show_warning(f"{whose}: {warning}")


async def _serve(stack: Stack, host: str | None, port: int | None) -> int:
    url = ""

    def on_listening(address: str, bound_port: int) -> None:
        nonlocal url
        url = _url(address, bound_port)
        # The host serves on, also when nobody reads what it prints.
        with suppress(OSError):
            show_line(f"Hitchpost {__version__} listens on {url}")
            if not is_loopback(address):
                show_warning(f"{address} can be reached from other machines, and Hitchpost asks nobody who they are")

    async def on_ready() -> None:
        models = await stack.models.list_models(NoArguments(), RequestContext(request_id="start"))
        with suppress(OSError):
            _tell(stack, models, url)

    # Before it is said that the host listens, since one that can't be used ends it.
    await stack.open_store()
    return await serve(stack, host=host, port=port, on_listening=on_listening, on_ready=on_ready)


def _url(address: str, port: int) -> str:
    """Where this machine reaches the host that listens on `address`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)  # noqa: S104 - nothing is bound here
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _tell(stack: Stack, models: Sequence[Model], url: str) -> None:
    columns = ("api", "provider", "type", "state", "reason")
    rows = [
        {
            "api": gate.api.value,
            "provider": gate.provider_id,
            "type": gate.provider_type,
            "state": gate.state.value,
            "reason": gate.reason,
        }
        for gate in stack.providers
    ]
    show_table(columns, rows)
    names = [model.identifier for model in models]
    talkers = [model.identifier for model in models if model.metadata.get("model_type") != "embedding"]
    if not names and any(gate.api is Api.inference for gate in stack.providers):
        show_line("No models are served yet; `hitchpost models` lists them once they are.")
    if not names:
        return
    more = f" and {len(names) - SHOWN_MODELS} more" if len(names) > SHOWN_MODELS else ""
    show_line(f"Models: {', '.join(names[:SHOWN_MODELS])}{more}")
    if not talkers:
        return
    body = json.dumps({"model": talkers[0], "messages": [{"role": "user", "content": "Hello!"}]})
    show_line(
        f"Try: curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(body)}\n"
        f" or: hitchpost chat{'' if url.endswith(':8321') else f' --url {url}'}"
    )


__all__ = ["serve_config"]
