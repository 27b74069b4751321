"""A WebSocket's parameters stand once, as everywhere."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from kinolog.core.errors import InputError
from kinolog.delivery.ws.server import once_each


def test_a_parameter_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="start stands twice"):
        once_each(parse_qs("start=-10s&start=-5s"))


def test_others_are_passed_over() -> None:
    assert once_each(parse_qs("start=-10s&token=a&token=b"))["start"] == "-10s"
