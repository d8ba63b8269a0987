"""The host's log: lines of text, or of JSON where a machine reads them. Says nothing of prompts, keys or provider data."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from hitchpost.errors import ConfigError

FORMAT_VARIABLE = "HITCHPOST_LOG_FORMAT"
LEVEL_VARIABLE = "HITCHPOST_LOG_LEVEL"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class JsonFormatter(logging.Formatter):
    """One JSON object per line; what a record has under `fields` stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **(fields or {"message": record.getMessage()}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(environ: Mapping[str, str], stream: TextIO) -> None:
    """Send the log to `stream`, as `HITCHPOST_LOG_FORMAT` (text, json) and `HITCHPOST_LOG_LEVEL` say.

    Raises:
        ConfigError: one of them says what isn't known.
    """
    log_format = environ.get(FORMAT_VARIABLE) or "text"
    level = environ.get(LEVEL_VARIABLE) or "INFO"
    if log_format not in ("text", "json"):
        raise ConfigError(f"{FORMAT_VARIABLE} is {log_format!r}; it can be text or json")
    if level.upper() not in _LEVELS:
        raise ConfigError(f"{LEVEL_VARIABLE} is {level!r}; it can be {', '.join(_LEVELS)}")
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("hitchpost").setLevel(level.upper())
    # It quotes what can't be read as HTTP, which may be a key or a prompt. Errors of handlers never reach it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


__all__ = ["FORMAT_VARIABLE", "LEVEL_VARIABLE", "JsonFormatter", "configure_logging"]
