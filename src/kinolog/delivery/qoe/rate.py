"""How much one client's reports may cost: a bucket for each address and each session."""

from __future__ import annotations

from collections.abc import Iterable

from kinolog.delivery.rate import Buckets, Rate


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
