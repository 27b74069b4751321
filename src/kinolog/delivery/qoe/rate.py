"""How much one client may cost: a bucket of tokens for each address and each session."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple


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

    def _level(self, key: str, now_s: float) -> float:
        left, at_s = self._buckets.get(key, (float(self._rate.burst), now_s))
        return min(self._rate.burst, left + (now_s - at_s) * self._rate.per_s)


class Limits:
    """What the edge takes of reports: of everybody, of an address, of a session."""

    ALL = Rate(2_000, 10_000)
    ADDRESS = Rate(200, 2_000)
    SESSION = Rate(20, 200)
    """A report for each part that was loaded (`rr`) is ten a second."""

    def __init__(self) -> None:
        self._all = Buckets(self.ALL, 1)
        self._addresses = Buckets(self.ADDRESS)
        self._sessions = Buckets(self.SESSION)

    def allow(self, client: str, sessions: Iterable[str], now_s: float) -> str:
        """Take a report of each of `sessions` (one stands there once a report) from an address
        (`host:port`). Empty; or whose limit it is over, and then nothing was taken."""
        counts: dict[str, int] = {}
        for sid in sessions:
            counts[sid] = counts.get(sid, 0) + 1
        total = sum(counts.values())
        address = network(client)
        if not self._all.has("", total, now_s):
            return "this edge"
        if not self._addresses.has(address, total, now_s):
            return "your address"
        if not all(self._sessions.has(sid, count, now_s) for sid, count in counts.items()):
            return "a session"
        self._all.take("", total, now_s)
        self._addresses.take(address, total, now_s)
        for sid, count in counts.items():
            self._sessions.take(sid, count, now_s)
        return ""


def network(client: str) -> str:
    """The host of `host:port`; of IPv6 the /64, which one client has all of."""
    host = client.rpartition(":")[0].strip("[]") or client
    if ":" not in host:
        return host
    head, gap, tail = host.partition("::")
    groups = [*head.split(":"), *(["0"] * 8 if gap else []), *tail.split(":")]
    return ":".join(groups[:4])
