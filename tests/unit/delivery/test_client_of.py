"""Who asks, through a proxy or not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.delivery.rate import client_of


@pytest.mark.parametrize(
    ("client", "told", "is_"),
    [
        ("127.0.0.1:5000", "203.0.113.7", "203.0.113.7:0"),
        ("127.0.0.1:5000", "6.6.6.6, 203.0.113.7", "203.0.113.7:0"),
        ("[::1]:5000", "2001:db8::1", "2001:db8::1:0"),
        ("127.0.0.1:5000", None, "127.0.0.1:5000"),
        ("127.0.0.1:5000", "nobody", "127.0.0.1:5000"),
        ("198.51.100.1:5000", "203.0.113.7", "198.51.100.1:5000"),
        ("", "203.0.113.7", ""),
    ],
)
def test_a_proxy_on_this_machine_is_believed(client: str, told: str | None, is_: str) -> None:
    headers = {"x-forwarded-for": told} if told is not None else {}
    scope: Any = SimpleNamespace(client=client, headers=headers)
    assert client_of(scope) == is_
