"""`hitchpost memory`: what is in the memory banks of a running host."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.host_url import url_option
from hitchpost.cli.output import (
    CommandError,
    counted,
    json_option,
    progress_bar,
    show_error,
    show_json,
    show_line,
    show_listing,
)
from hitchpost.cli.resources import json_object

if TYPE_CHECKING:
    from hitchpost.cli.host_client import HostClient

INSERT_TIMEOUT_S = 600.0
"""How long a host may take for one batch; its providers may take as long."""
PAGE_DOCUMENTS = 1000


@click.group(cls=ExtensibleGroup, path="memory")
def memory() -> None:
    """Add, find, list and delete the documents of a running host's memory banks."""


# --- add ---


@memory.command("add")
@click.argument("bank")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--ttl", "ttl_seconds", type=click.IntRange(min=1), help="Seconds after which the documents vanish.")
@click.option("--mime-type", help="What the files are; without it what the endings of their names say.")
@click.option("--metadata", callback=json_object, help="Of each document: a JSON object, such as {...}.")
@url_option
def add_documents(
    url: str,
    bank: str,
    files: Sequence[Path],
    ttl_seconds: int | None,
    mime_type: str | None,
    metadata: dict[str, Any] | None,
) -> None:
    """Put FILES into BANK, each as a document whose id is its path.

    Of a directory all files go in that aren't hidden. A document whose id is there already is replaced, so that a command that was
    interrupted may be given again. The exit status is 1 where something did not go in.

    Files of more than 10 MiB are not sent: the host can read them by itself, by their file:// URLs, below a folder that its run config
    names under ingest.file_roots.
    """
    from hitchpost.cli.memory_files import batches, find_files

    found = find_files(files)
    if not found:
        raise CommandError("there are no files to add")
    fields = {} if ttl_seconds is None else {"ttl_seconds": ttl_seconds}
    reports, failed = asyncio.run(_add(url, bank, len(found), batches(found, mime_type, metadata), fields))
    for document_id, reason in failed:
        show_error(f"{document_id}: {reason}")
    chunks = sum(report["chunk_count"] or 0 for report in reports)
    stored = f", {counted(chunks, 'chunk')}" if chunks else ""
    show_line(f"added {counted(len(reports), 'document')}{stored} to {bank}")
    if failed:
        raise CommandError(f"{len(failed):,} of {counted(len(found), 'document')} did not go in")


async def _add(
    url: str, bank: str, total: int, waiting: Any, fields: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """The reports of what went in, and why the rest did not."""
    from hitchpost.cli.host_client import HostClient

    went_in: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    async with aclosing(HostClient(url)) as client:
        with progress_bar(total, f"adding to {bank}") as bar:
            while (batch := await asyncio.to_thread(next, waiting, None)) is not None:
                failed += batch.failed
                if batch.documents:
                    try:
                        reports = await _insert(client, bank, batch.documents, fields)
                    except CommandError as error:
                        before = f"; {len(went_in):,} went in before" if went_in else ""
                        raise CommandError(f"{error.message}{before}") from error
                    went_in += [report for report in reports if report["error"] is None]
                    failed += [(report["document_id"], report["error"]) for report in reports if report["error"]]
                bar.update(len(batch))
    return went_in, failed


async def _insert(
    client: "HostClient", bank: str, documents: list[dict[str, Any]], fields: dict[str, Any]
) -> list[dict[str, Any]]:
    """The reports of a batch; what is too much for one request of this host is sent by halves."""
    from hitchpost.cli.host_client import HostRefusalError

    try:
        answer = await client.post(f"{_path(bank)}/documents", {"documents": documents, **fields}, INSERT_TIMEOUT_S)
    except HostRefusalError as error:
        if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        if len(documents) == 1:
            return [{"document_id": documents[0]["document_id"], "chunk_count": None, "error": error.message}]
        middle = len(documents) // 2
        halves = documents[:middle], documents[middle:]
        return [report for half in halves for report in await _insert(client, bank, half, fields)]
    reports: list[dict[str, Any]] = answer["documents"]
    return reports


# --- query ---


def _conditions(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> dict[str, Any] | None:
    """`year=2024` is a number, as any JSON value is what it is; all else is text. A key that comes twice may have either value."""
    wanted: dict[str, list[Any]] = {}
    for condition in given:
        key, equals, text = condition.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{condition!r} is not of the form KEY=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        wanted.setdefault(key, []).append(value if isinstance(value, str | int | float | None) else text)
    return {key: values if len(values) > 1 else values[0] for key, values in wanted.items()} or None


@memory.command("query")
@click.argument("bank")
@click.argument("text")
@click.option("--max-chunks", type=click.IntRange(1, 10_000), default=3, show_default=True, help="How many to find.")
@click.option("--threshold", type=float, default=0.0, show_default=True, help="The least score of a chunk.")
@click.option(
    "--mode",
    type=click.Choice(["vector", "keyword", "hybrid"]),
    help="How a vector bank searches; without it by vectors.",
)
@click.option(
    "--filter",
    "conditions",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_conditions,
    help="Only documents with this in their metadata; several: with all of them, and for one key with any of its values.",
)
@url_option
@json_option
def query_documents(
    url: str,
    bank: str,
    text: str,
    max_chunks: int,
    threshold: float,
    mode: str | None,
    conditions: dict[str, Any] | None,
    as_json: bool,
) -> None:
    """Show the pieces of documents in BANK that fit TEXT best."""
    from hitchpost.cli.host_client import ask_host

    params = {"max_chunks": max_chunks, "score_threshold": threshold, "mode": mode, "filter": conditions}
    body = {"query": text, "params": {name: value for name, value in params.items() if value is not None}}
    answer = ask_host(url, lambda client: client.post(f"{_path(bank)}/query", body))
    if as_json:
        show_json(answer)
        return
    for score, chunk in zip(answer["scores"], answer["chunks"], strict=True):
        place = "" if chunk["position"] is None else f" #{chunk['position']}"
        show_line(f"{score:.3f}  {chunk['document_id']}{place}", is_dim=True)
        show_line(f"{_text(chunk['content'])}\n")
    if not answer["chunks"]:
        show_line("nothing was found")


def _text(content: Any) -> str:
    """The text of a chunk; an image is named."""
    items = content if isinstance(content, list) else [content]
    return " ".join(item if isinstance(item, str) else "(an image)" for item in items)


# --- list and delete ---


@memory.command("list")
@click.argument("bank")
@url_option
@json_option
def list_documents(url: str, bank: str, as_json: bool) -> None:
    """List the documents of BANK, in the order of their ids."""
    from hitchpost.cli.host_client import ask_host

    async def all_pages(client: "HostClient") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        has_more = True
        while has_more:
            after = {"after": found[-1]["document_id"]} if found else {}
            page = await client.get(f"{_path(bank)}/documents?{urlencode({'limit': PAGE_DOCUMENTS, **after})}")
            found += page["data"]
            has_more = page["has_more"] and page["data"]
        return found

    found = ask_host(url, all_pages)
    columns = ("document", "type", "chunks", "tokens", "inserted", "expires")
    show_listing(found, columns, _row, as_json=as_json, nothing="the bank is empty")


def _row(document: dict[str, Any]) -> dict[str, str]:
    return {
        "document": document["document_id"],
        "type": document["mime_type"] or "",
        "chunks": f"{document['chunk_count']:,}",
        "tokens": f"{document['token_count']:,}",
        "inserted": _moment(document["inserted_at"]),
        "expires": _moment(document["expires_at"]),
    }


def _moment(text: str | None) -> str:
    """To the second, which is what a person wants to see."""
    return "" if text is None else text[:19].replace("T", " ")


@memory.command("delete")
@click.argument("bank")
@click.argument("document_ids", nargs=-1, required=True)
@url_option
def delete_documents(url: str, bank: str, document_ids: Sequence[str]) -> None:
    """Delete the documents DOCUMENT_IDS from BANK, for good. The exit status is 1 where one was not there."""
    from hitchpost.cli.host_client import ask_host

    body = {"document_ids": list(dict.fromkeys(document_ids))}
    answer = ask_host(url, lambda client: client.post(f"{_path(bank)}/documents/delete", body, INSERT_TIMEOUT_S))
    deleted = answer["deleted"]
    show_line(f"deleted {counted(len(deleted), 'document')} from {bank}")
    missing = [name for name in body["document_ids"] if name not in set(deleted)]
    if missing:
        more = f" and {len(missing) - 10:,} more" if len(missing) > 10 else ""
        raise CommandError(f"not in {bank}: {', '.join(missing[:10])}{more}")


# --- what they share ---


def _path(bank: str) -> str:
    return f"/hitchpost/v1/memory-banks/{quote(bank, safe='')}"


__all__ = ["memory"]
