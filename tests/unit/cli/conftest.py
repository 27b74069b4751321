"""Logs as they were before each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from kinolog.core import log


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A verb sets logs up to go to standard error, which is the test's own."""
    ours = logging.getLogger("kinolog")
    handlers, level, chain = ours.handlers, ours.level, list(log._chain)
    yield
    ours.handlers, ours.propagate = handlers, True
    ours.setLevel(level)
    log._chain[:] = chain
