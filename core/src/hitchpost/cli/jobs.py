"""`hitchpost jobs`: what the providers of a running host do in the background."""

from typing import Any

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.host_url import url_option
from hitchpost.cli.output import json_option, show_json, show_listing, show_table

COLUMNS = ("job", "kind", "subject", "provider", "state", "progress")


@click.group(cls=ExtensibleGroup, path="jobs")
def jobs() -> None:
    """Watch and cancel the background work of a running host, such as pulling a model."""


@jobs.command("list")
@url_option
@json_option
def list_jobs(url: str, as_json: bool) -> None:
    """List the jobs that run and those that ended within the last day, the newest first."""
    from hitchpost.cli.host_client import ask_host

    found = ask_host(url, lambda client: client.list_jobs())
    show_listing(found, COLUMNS, _row, as_json=as_json, nothing="the host has no jobs")


@jobs.command("show")
@click.argument("job_id")
@url_option
@json_option
def show_job(url: str, job_id: str, as_json: bool) -> None:
    """Show how JOB_ID goes, or how it ended."""
    from hitchpost.cli.host_client import ask_host

    _show(ask_host(url, lambda client: client.get_job(job_id)), as_json)


@jobs.command("cancel")
@click.argument("job_id")
@url_option
@json_option
def cancel_job(url: str, job_id: str, as_json: bool) -> None:
    """End JOB_ID before its time."""
    from hitchpost.cli.host_client import ask_host

    _show(ask_host(url, lambda client: client.cancel_job(job_id)), as_json)


def _show(job: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(job)
    else:
        show_table(COLUMNS, [_row(job)])


def _row(job: dict[str, Any]) -> dict[str, str]:
    return {
        "job": str(job["id"]),
        "kind": str(job["kind"]),
        "subject": str(job["subject"]),
        "provider": job["provider_id"] or "",
        "state": str(job["state"]),
        "progress": _progress(job),
    }


def _progress(job: dict[str, Any]) -> str:
    """Why it failed, else how far it is: counted and in words."""
    if job["error"]:
        return str(job["error"]["message"])
    count = "" if job["done"] is None else f"{job['done']:,.0f}"
    if count and job["total"] is not None:
        count += f" of {job['total']:,.0f}"
    if count and job["unit"]:
        count += f" {job['unit']}"
    return ", ".join(filter(None, (count, job["message"])))


__all__ = ["jobs"]
