"""Loggers: events with values, by way of the standard library's `logging`.

A program that uses the SDK hears of it as of any other library: loggers below `kinolog`, silent
below WARNING unless it asks. The command line shows them its own way (`kinolog.runtime.logs`).
"""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.typing import Processor

_chain: list[Processor] = []


def get_logger(name: str) -> Any:
    """A structlog logger over `logging.getLogger(name)`."""
    return structlog.wrap_logger(
        logging.getLogger(name), processors=_chain, wrapper_class=structlog.stdlib.BoundLogger
    )


def render(*processors: Processor) -> None:
    """How loggers write from now on, those too that are there already."""
    _chain[:] = [
        structlog.stdlib.filter_by_level,
        *processors[:-1],
        structlog.processors.format_exc_info,
        *processors[-1:],
    ]


render(structlog.processors.LogfmtRenderer(key_order=["event"]))
