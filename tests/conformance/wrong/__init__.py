"""Providers that are wrong on purpose, one per check of the kit."""

from tests.conformance.wrong import answers, declarations, hooks, lifecycle, memory, requests, safety, streams
from tests.conformance.wrong.case import WRONG

MODULES = (answers, declarations, hooks, lifecycle, memory, requests, safety, streams)

__all__ = ["MODULES", "WRONG"]
