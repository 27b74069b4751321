"""HTTP ingest: which status says what went wrong, as docs/reference/http.md has it."""

from __future__ import annotations

import pytest

from kinolog.core import errors
from kinolog.ingest.http import _query, _status


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
