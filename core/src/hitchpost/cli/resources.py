"""`hitchpost models`, `shields` and `memory-banks`: what is registered at a running host."""

import json
from collections.abc import Callable
from typing import Any

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.host_url import url_option
from hitchpost.cli.output import json_option, show_line, show_listing

provider_option = click.option(
    "--provider-id", help="The provider that is to own it; may be left out while only one could."
)


def json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """The value of an option that is a JSON object."""
    if value is None:
        return None
    try:
        found = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.BadParameter("is not a JSON object")
    return found


def _listing_group(name: str, help_text: str) -> Callable[[Callable[..., None]], click.Group]:
    """A group that lists when it is called without a command."""
    return click.group(name, cls=ExtensibleGroup, path=name, invoke_without_command=True, help=help_text)


# --- models ---


@_listing_group("models", "List, register and unregister the models of a running host.")
@url_option
@json_option
@click.pass_context
def models(ctx: click.Context, url: str, as_json: bool) -> None:
    """Without a command: list."""
    if ctx.invoked_subcommand is None:
        _list(url, "models", as_json, ("model", "provider", "provider_model", "type"), _model_row)


@models.command("list")
@url_option
@json_option
def list_models(url: str, as_json: bool) -> None:
    """List the models that a running host serves."""
    _list(url, "models", as_json, ("model", "provider", "provider_model", "type"), _model_row)


@models.command("register")
@click.argument("model_id")
@provider_option
@click.option("--provider-model-id", help="The provider's name for it; without it the same as MODEL_ID.")
@click.option("--metadata", callback=json_object, help="A JSON object, such as {...}.")
@url_option
def register_model(
    url: str, model_id: str, provider_id: str | None, provider_model_id: str | None, metadata: Any
) -> None:
    """Register MODEL_ID at a provider of a running host."""
    body = {
        "model_id": model_id,
        "provider_id": provider_id,
        "provider_model_id": provider_model_id,
        "metadata": metadata,
    }
    _register(url, "models", body)


@models.command("unregister")
@click.argument("model_id")
@url_option
def unregister_model(url: str, model_id: str) -> None:
    """End the registration of MODEL_ID that was made through the API."""
    _unregister(url, "models", {"model_id": model_id}, model_id)


def _model_row(model: dict[str, Any]) -> dict[str, str]:
    from hitchpost.cli.host_client import model_type

    return {
        "model": str(model["identifier"]),
        "provider": str(model.get("provider_id", "")),
        "provider_model": str(model.get("provider_resource_id", "")),
        "type": model_type(model),
    }


# --- shields ---


@_listing_group("shields", "List, register and unregister the shields of a running host.")
@url_option
@json_option
@click.pass_context
def shields(ctx: click.Context, url: str, as_json: bool) -> None:
    """Without a command: list."""
    if ctx.invoked_subcommand is None:
        _list(url, "shields", as_json, ("shield", "provider", "provider_shield"), _shield_row)


@shields.command("list")
@url_option
@json_option
def list_shields(url: str, as_json: bool) -> None:
    """List the shields of a running host."""
    _list(url, "shields", as_json, ("shield", "provider", "provider_shield"), _shield_row)


@shields.command("register")
@click.argument("shield_id")
@provider_option
@click.option("--provider-shield-id", help="The provider's name for it; without it the same as SHIELD_ID.")
@click.option("--params", callback=json_object, help="A JSON object for the provider.")
@url_option
def register_shield(
    url: str, shield_id: str, provider_id: str | None, provider_shield_id: str | None, params: Any
) -> None:
    """Register SHIELD_ID at a provider of a running host."""
    body = {
        "shield_id": shield_id,
        "provider_id": provider_id,
        "provider_shield_id": provider_shield_id,
        "params": params,
    }
    _register(url, "shields", body)


@shields.command("unregister")
@click.argument("shield_id")
@url_option
def unregister_shield(url: str, shield_id: str) -> None:
    """End the registration of SHIELD_ID that was made through the API."""
    _unregister(url, "shields", {"shield_id": shield_id}, shield_id)


def _shield_row(shield: dict[str, Any]) -> dict[str, str]:
    return {
        "shield": str(shield["identifier"]),
        "provider": str(shield.get("provider_id", "")),
        "provider_shield": str(shield.get("provider_resource_id", "")),
    }


# --- memory banks ---


@_listing_group("memory-banks", "List, register and unregister the memory banks of a running host.")
@url_option
@json_option
@click.pass_context
def memory_banks(ctx: click.Context, url: str, as_json: bool) -> None:
    """Without a command: list."""
    if ctx.invoked_subcommand is None:
        _list(url, "memory-banks", as_json, ("memory_bank", "provider", "type", "embedding_model"), _bank_row)


@memory_banks.command("list")
@url_option
@json_option
def list_memory_banks(url: str, as_json: bool) -> None:
    """List the memory banks of a running host."""
    _list(url, "memory-banks", as_json, ("memory_bank", "provider", "type", "embedding_model"), _bank_row)


@memory_banks.command("register")
@click.argument("memory_bank_id")
@click.option(
    "--type",
    "bank_type",
    type=click.Choice(["vector", "keyvalue", "keyword", "graph"]),
    default="vector",
    show_default=True,
    help="How documents are found: by likeness, by their ids, or by words.",
)
@provider_option
@click.option("--provider-memory-bank-id", help="The provider's name for it; without it the same as MEMORY_BANK_ID.")
@click.option("--embedding-model", help="Of a vector bank: the model that makes the vectors.")
@click.option("--chunk-size", type=click.IntRange(min=1), default=512, show_default=True, help="In tokens.")
@click.option("--overlap-size", type=click.IntRange(min=0), help="Tokens that neighbouring chunks share.")
@url_option
def register_memory_bank(url: str, memory_bank_id: str, bank_type: str, **options: Any) -> None:
    """Register MEMORY_BANK_ID at a provider of a running host, as a bank of --type vector, keyword or keyvalue."""
    params = {"memory_bank_type": bank_type}
    if bank_type == "vector":
        if options["embedding_model"] is None:
            message = (
                "a bank of --type vector, which is the default, needs --embedding-model (`hitchpost models` lists the models); "
                "--type keyword and --type keyvalue need none"
            )
            raise click.UsageError(message)
        params |= {
            "embedding_model": options["embedding_model"],
            "chunk_size_in_tokens": options["chunk_size"],
            "overlap_size_in_tokens": options["overlap_size"],
        }
    body = {
        "memory_bank_id": memory_bank_id,
        "provider_id": options["provider_id"],
        "provider_memory_bank_id": options["provider_memory_bank_id"],
        "params": params,
    }
    _register(url, "memory-banks", body)


@memory_banks.command("unregister")
@click.argument("memory_bank_id")
@url_option
def unregister_memory_bank(url: str, memory_bank_id: str) -> None:
    """End the registration of MEMORY_BANK_ID that was made through the API."""
    _unregister(url, "memory-banks", {"memory_bank_id": memory_bank_id}, memory_bank_id)


def _bank_row(bank: dict[str, Any]) -> dict[str, str]:
    return {
        "memory_bank": str(bank["identifier"]),
        "provider": str(bank.get("provider_id", "")),
        "type": str(bank.get("memory_bank_type", "")),
        "embedding_model": str(bank.get("embedding_model", "")),
    }


# --- what they share ---


def _list(
    url: str,
    resources: str,
    as_json: bool,
    columns: tuple[str, ...],
    row: Callable[[dict[str, Any]], dict[str, str]],
) -> None:
    from hitchpost.cli.host_client import ask_host

    found = ask_host(url, lambda client: client.list_resources(resources))
    show_listing(found, columns, row, as_json=as_json, nothing=f"the host serves no {resources.replace('-', ' ')}")


def _register(url: str, resources: str, body: dict[str, Any]) -> None:
    stated = {name: value for name, value in body.items() if value is not None}
    from hitchpost.cli.host_client import ask_host

    kept = ask_host(url, lambda client: client.post(f"/alpha/{resources}/register", stated))
    show_line(f"registered {kept['identifier']} at provider {kept['provider_id']}")


def _unregister(url: str, resources: str, body: dict[str, str], identifier: str) -> None:
    from hitchpost.cli.host_client import ask_host

    ask_host(url, lambda client: client.post(f"/alpha/{resources}/unregister", body))
    show_line(f"unregistered {identifier}")


__all__ = ["json_object", "memory_banks", "models", "shields"]
