"""Logs: structlog to standard error, readable at a terminal, logfmt elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog

from kinolog.core.errors import ConfigError
from kinolog.core.log import render

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_up(level: str) -> None:
    """Send what is at or above `level` to standard error."""
    number = _LEVELS.get(level.lower())
    if number is None:
        raise ConfigError(
            f"log level {level!r} is none of {', '.join(_LEVELS)}",
            hint="flag --log-level, variable KINOLOG_LOG_LEVEL, or log_level in kinolog.toml",
        )
    human = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if human
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    render(
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if human else "iso", utc=True),
        renderer,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr)
    ours = logging.getLogger("kinolog")
    ours.handlers = [logging.StreamHandler(sys.stderr)]
    ours.propagate = False
    ours.setLevel(number)
