"""What one client may cost."""

from __future__ import annotations

import pytest

from kinolog.delivery.qoe.rate import Limits, network
from kinolog.delivery.rate import Buckets, Rate


def test_a_bucket_fills_again() -> None:
    buckets = Buckets(Rate(2, 10))
    assert buckets.has("a", 10, 0.0)
    buckets.take("a", 10, 0.0)
    assert not buckets.has("a", 1, 0.4)
    assert buckets.has("a", 1, 0.5)
    assert not buckets.has("a", 11, 1000.0)
    assert buckets.has("b", 10, 0.0)


def test_buckets_are_bounded_by_who_asked_last() -> None:
    buckets = Buckets(Rate(1, 1), most=2)
    for key in "abc":
        buckets.take(key, 1, 0.0)
    assert [buckets.has(key, 1, 0.0) for key in "abc"] == [True, False, False]


def test_over_a_limit_nothing_is_taken() -> None:
    limits = Limits()
    assert limits.allow("1.2.3.4:5", ["s"] * 201, 0.0) == "a session"
    assert limits.allow("1.2.3.4:5", ["s"] * 200, 0.0) == ""
    assert limits.allow("1.2.3.4:6", ["s"], 0.0) == "a session"
    crowd = [f"s{n}" for n in range(Limits.ADDRESS.burst - 200)]
    assert limits.allow("1.2.3.4:7", crowd, 0.0) == ""
    assert limits.allow("1.2.3.4:8", ["new"], 0.0) == "your address"
    assert limits.allow("1.2.3.5:8", ["new"], 0.0) == ""
    assert limits.allow("1.2.3.4:8", ["new"], 1.0) == ""


def test_all_clients_together_have_a_limit() -> None:
    limits = Limits()
    answers = [
        limits.allow(f"10.0.0.{n}:1", [f"{n}-{m}" for m in range(2000)], 0.0) for n in range(6)
    ]
    assert answers == [""] * 5 + ["this edge"]


@pytest.mark.parametrize(
    ("client", "found"),
    [
        ("1.2.3.4:567", "1.2.3.4"),
        ("[2001:db8:1:2:3:4:5:6]:567", "2001:db8:1:2"),
        ("[2001:db8::1]:567", "2001:db8:0:0"),
        ("unix", "unix"),
    ],
)
def test_an_address_is_a_network(client: str, found: str) -> None:
    assert network(client) == found
