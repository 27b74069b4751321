"""The writer's ends: a fatal error of the client ends a wait, and anything else is not hidden."""

from __future__ import annotations

from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from kinolog.log.writer import _fatal, _flush

FATAL = KafkaException(KafkaError(KafkaError._FENCED, "fenced", fatal=True))


class Raising:
    """A client whose flush raises, with three records left."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def flush(self, _timeout_s: float) -> int:
        raise self._error

    def __len__(self) -> int:
        return 3


def among_reports(cause: BaseException) -> SystemError:
    """How Python shows an error that C code raised before it called the next report."""
    error = SystemError("<function _Report.__call__> returned a result with an exception set")
    error.__cause__ = cause
    return error


def flush(error: BaseException) -> int:
    return _flush(cast(Producer, cast(Any, Raising(error))), 1.0)


def test_a_fatal_error_ends_the_waiting_also_when_it_comes_among_reports() -> None:
    assert flush(FATAL) == 3
    assert flush(among_reports(FATAL)) == 3
    assert _fatal(among_reports(FATAL)).code() == KafkaError._FENCED


def test_another_defect_is_not_taken_for_one() -> None:
    with pytest.raises(SystemError):
        flush(among_reports(ValueError("else")))
