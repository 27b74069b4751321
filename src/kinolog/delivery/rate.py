"""How much may be asked of an edge: a bucket of tokens for each key."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import ip_address
from typing import NamedTuple

from kinolog.core.rsgi import Scope


def client_of(scope: Scope) -> str:
    """Who asks (`host:port`). A proxy on this machine tells of whom a request is, in the last
    address of X-Forwarded-For; of others that header is not believed."""
    host = scope.client.rpartition(":")[0].strip("[]")
    told = scope.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    try:
        return f"{ip_address(told)}:0" if ip_address(host).is_loopback else scope.client
    except ValueError:
        return scope.client


class Rate(NamedTuple):
    """So many a second in the long run, and so many at once."""

    per_s: float
    burst: int


class Buckets:
    """Buckets by key, of those that were asked for last."""

    def __init__(self, rate: Rate, most: int = 20_000) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def has(self, key: str, wanted: int, now_s: float) -> bool:
        """Whether so many tokens are there; none is taken."""
        return self._level(key, now_s) >= wanted

    def take(self, key: str, wanted: int, now_s: float) -> None:
        """Take them."""
        self._buckets[key] = (self._level(key, now_s) - wanted, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def allow(self, key: str, wanted: int, now_s: float) -> bool:
        """Take so many, if there are as many."""
        if not self.has(key, wanted, now_s):
            return False
        self.take(key, wanted, now_s)
        return True

    def _level(self, key: str, now_s: float) -> float:
        left, at_s = self._buckets.get(key, (float(self._rate.burst), now_s))
        return min(self._rate.burst, left + (now_s - at_s) * self._rate.per_s)
