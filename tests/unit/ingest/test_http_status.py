"""HTTP ingest: which status says what went wrong, as docs/reference/http.md has it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinolog.core import errors
from kinolog.core.clock import SystemClock
from kinolog.ingest.desk import LocalDesk
from kinolog.ingest.http import HttpIngest, _query, _status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.NameError_, 404),
        (errors.NotFound, 404),
        (errors.Replaced, 409),
        (errors.UnsupportedCodec, 415),
        (errors.ConfigError, 400),
        (errors.InputError, 400),
        (errors.KafkaUnavailable, 503),
        (errors.Overloaded, 503),
        (errors.KafkaRefused, 500),
    ],
)
def test_an_error_has_the_status_of_its_kind(kind: type[errors.KinologError], status: int) -> None:
    assert _status(kind("why")) == status


def test_too_many_parameters_are_the_senders_mistake() -> None:
    assert _query("owner=ann&" + "&".join(f"n{i}=1" for i in range(19)), 0) == (None, "ann")
    with pytest.raises(errors.InputError, match="more than 20"):
        _query("&".join(f"n{i}=1" for i in range(21)), 0)


def test_a_page_of_another_site_may_not_publish() -> None:
    """A form can send a body without asking first (a simple request of the Fetch standard)."""
    answers: list[tuple[int, str]] = []
    scope: Any = SimpleNamespace(
        method="POST",
        path="/ingest/cams/gate",
        authority=None,
        headers={"host": "127.0.0.1:8081", "origin": "https://evil.example"},
    )
    protocol: Any = SimpleNamespace(
        response_str=lambda status, _, text: answers.append((status, text))
    )
    nobody = cast("LocalDesk", None)  # it is not asked
    asyncio.run(HttpIngest(nobody, SystemClock()).answer(scope, protocol))
    assert [status for status, _ in answers] == [403]
    assert "https://evil.example" in answers[0][1]
