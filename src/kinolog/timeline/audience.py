"""The audience of streams, out of what players report (record/cmcd.py): who watches, and how well.

Pure: reports go in with the time at which an edge heard them, figures come out for a time. Any
edge that has read the same records gives the same figures. What a session costs is bounded, and so
is how many are kept: those heard of last.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kinolog.record.cmcd import Cmcd, Report, numbers

WINDOW_MS: Final = 5 * 60_000
"""Figures are of so much of the past."""
MOST_SESSIONS: Final = 20_000
MOST_PLAYERS: Final = 16
"""Kinds of players that are told apart in a stream's figures."""
SILENT_MS: Final = 75_000
"""Who says nothing for so long has gone: players report every 30 s unless they are told otherwise.
Of one that reports more often it is two and a half of its intervals, and a little."""
_LEAST_SILENT_MS: Final = 5_000
_MOST_GAP_MS: Final = 60_000
"""Two reports further apart say nothing of what was between them: a laptop that slept."""
_MOST_START_MS: Final = 10 * 60_000
_BUCKET_MS: Final = 30_000
_GONE: Final = frozenset({"e", "f", "q"})
_STALLED: Final = frozenset({"r"})
_PLAYER: Final = re.compile(r"[a-z0-9.-]{1,24}")
_FORMATS: Final = {"h": "hls", "d": "dash", "s": "smooth"}


class Spread(msgspec.Struct):
    """Percentiles of one figure over sessions; of `count` of them it is known."""

    count: int
    p50: float
    p95: float
    p99: float


class Figures(msgspec.Struct):
    """How a stream is watched. `viewers` now; the rest of all sessions of the window."""

    viewers: int = 0
    sessions: int = 0
    paused: int = 0
    stalled: int = 0
    """Of the viewers, those who wait for the buffer now."""
    played_s: float = 0.0
    stalled_s: float = 0.0
    rebuffer_ratio: float = 0.0
    """Time spent waiting for the buffer, of the time spent playing and waiting."""
    stalls: int = 0
    errors: int = 0
    dropped_frames: int = 0
    startup_ms: Spread | None = None
    latency_ms: Spread | None = None
    bitrate_kbps: Spread | None = None
    players: dict[str, int] = {}
    """Viewers by kind of player."""


class Session:
    """What is known of one viewer. Times are the player's own, but for `heard_ms`."""

    __slots__ = (
        "_begun",
        "_buckets",
        "_delay_ms",
        "_dropped",
        "_dropped_at_first",
        "_interval_ms",
        "_measured_ms",
        "_newest_ms",
        "_pictures",
        "_started_ms",
        "_ticked_ms",
        "bitrate_kbps",
        "heard_ms",
        "latency_ms",
        "player",
        "state",
    )

    def __init__(self) -> None:
        self.heard_ms = 0
        self.state = ""
        self.latency_ms: float | None = None
        self.bitrate_kbps: float | None = None
        self.player = "other"
        self._pictures = False
        self._begun = False
        self._delay_ms: float | None = None
        self._measured_ms: float | None = None
        self._newest_ms = -1
        self._started_ms = -1
        self._ticked_ms = -1
        self._interval_ms = 0
        self._dropped = 0
        self._dropped_at_first = -1
        # Of each half minute: when it began, ms played, ms stalled, stalls, errors.
        self._buckets: deque[list[int]] = deque(maxlen=WINDOW_MS // _BUCKET_MS + 1)

    def take(self, at_ms: int, report: Cmcd) -> None:
        """A report that an edge heard at `at_ms`. One older than what is known already tells
        nothing of the state."""
        self.heard_ms = max(self.heard_ms, at_ms)
        self._figures(report)
        bucket = self._bucket(at_ms)
        if "ts" not in report:  # a request for media: the player's clock is not known
            bucket[3] += report.get("bs") is True
            return
        ts = int(report["ts"])
        if ts < self._newest_ms:
            return
        gap = ts - self._newest_ms if self._newest_ms >= 0 else 0
        if 0 < gap <= _MOST_GAP_MS:
            if self.state == "p":
                bucket[1] += gap
            elif self.state in _STALLED and self._begun:
                bucket[2] += gap
        self._newest_ms = ts
        event = report.get("e")
        if event == "t":
            if self._ticked_ms >= 0:
                self._interval_ms = min(ts - self._ticked_ms, _MOST_GAP_MS)
            self._ticked_ms = ts
        elif event == "e":
            bucket[4] += 1
        state = report.get("sta", "")
        if state and state != self.state:
            self._enter(state, ts, bucket)

    def _enter(self, state: str, ts: int, bucket: list[int]) -> None:
        if state == "s":
            self._started_ms = ts
        elif state in _STALLED:
            bucket[3] += self._begun  # before that it is part of the start
        elif state == "p":
            if not self._begun and self._started_ms >= 0:
                self._measured_ms = min(ts - self._started_ms, _MOST_START_MS)
            self._begun = True
        self.state = state

    def _figures(self, report: Cmcd) -> None:
        delay = report.get("msd")
        if delay is not None:
            self._delay_ms = min(float(delay), _MOST_START_MS)
        latency = _amount(report.get("ltc", report.get("kinolog-ltc")))
        if latency is not None:
            self.latency_ms = latency
        rates = numbers(report, "br")
        # A request's is that of what it asks for: sound's says nothing where there are pictures.
        sound = report.get("ot") == "a"
        if rates and not (sound and self._pictures):
            self.bitrate_kbps = max(rates)
            self._pictures = not sound
        dropped = _amount(report.get("dfa", report.get("kinolog-dfa")))
        if dropped is not None:
            if self._dropped_at_first < 0:
                self._dropped_at_first = int(dropped)
            self._dropped = max(self._dropped, int(dropped))
        named = report.get("kinolog-player")
        if isinstance(named, str) and _PLAYER.fullmatch(named):
            self.player = named
        elif self.player == "other":
            self.player = _FORMATS.get(str(report.get("sf", "")), "other")

    def _bucket(self, at_ms: int) -> list[int]:
        begin = at_ms - at_ms % _BUCKET_MS
        if not self._buckets or self._buckets[-1][0] < begin:
            self._buckets.append([begin, 0, 0, 0, 0])
        return self._buckets[-1]

    def watches(self, now_ms: int) -> bool:
        """Whether it is still there."""
        if self.state in _GONE:
            return False
        patience_ms = SILENT_MS
        if self._interval_ms:
            patience_ms = min(SILENT_MS, _LEAST_SILENT_MS + 5 * self._interval_ms // 2)
        return now_ms - self.heard_ms <= patience_ms

    @property
    def startup_ms(self) -> float | None:
        """From "starting" to "playing". Its own `msd` where it did not report both: that is to be
        the same (CTA-5004-B), but dash.js 5.2.1 sends the time to its first event."""
        return self._measured_ms if self._measured_ms is not None else self._delay_ms

    @property
    def dropped(self) -> int:
        """Frames dropped since it was first heard of."""
        return self._dropped - max(self._dropped_at_first, 0)

    def spent(self, now_ms: int) -> tuple[int, int, int, int]:
        """(ms played, ms stalled, stalls, errors) within the window."""
        since = now_ms - WINDOW_MS
        # A copy: another thread may add to it meanwhile.
        kept = [bucket for bucket in tuple(self._buckets) if bucket[0] + _BUCKET_MS > since]
        played, stalled, stalls, errors = (sum(one[n] for one in kept) for n in range(1, 5))
        return played, stalled, stalls, errors


class Audience:
    """Sessions by stream."""

    def __init__(self, most_sessions: int = MOST_SESSIONS) -> None:
        self._most = most_sessions
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._streams: dict[str, dict[str, Session]] = {}
        self.forgotten = 0
        """Sessions given up before they were over, for want of room."""

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, report: Report) -> None:
        """A report, as it was read."""
        key = (report.stream, report.session)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session()
            self._streams.setdefault(report.stream, {})[key[1]] = session
        else:
            self._sessions.move_to_end(key)
        session.take(report.at, report.cmcd)
        if len(self._sessions) > self._most:
            self._forget(next(iter(self._sessions)))
            self.forgotten += 1

    def sweep(self, now_ms: int) -> None:
        """Forget who was not heard of within the window."""
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if session.heard_ms > now_ms - WINDOW_MS:
                return
            self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        del self._sessions[key]
        of_stream = self._streams[key[0]]
        del of_stream[key[1]]
        if not of_stream:
            del self._streams[key[0]]

    @property
    def streams(self) -> list[str]:
        """Those of which something was heard within the window."""
        return list(self._streams)

    def sessions(self, stream: str) -> list[Session]:
        """Those of a stream of which something was heard within the window."""
        return list(self._streams.get(stream, {}).values())


def figures_of(sessions: Iterable[Session], now_ms: int) -> Figures:
    """The figures of some sessions; percentiles of latency and bit rate are of who watches now."""
    found = Figures()
    startup: list[float] = []
    latency: list[float] = []
    bitrate: list[float] = []
    played_ms = stalled_ms = 0
    for one in sessions:
        if one.heard_ms <= now_ms - WINDOW_MS:
            continue
        found.sessions += 1
        played, stalled, stalls, errors = one.spent(now_ms)
        played_ms += played
        stalled_ms += stalled
        found.stalls += stalls
        found.errors += errors
        found.dropped_frames += one.dropped
        if one.startup_ms is not None:
            startup.append(one.startup_ms)
        if not one.watches(now_ms):
            continue
        found.viewers += 1
        found.paused += one.state == "a"
        found.stalled += one.state in _STALLED
        if one.latency_ms is not None:
            latency.append(one.latency_ms)
        if one.bitrate_kbps is not None:
            bitrate.append(one.bitrate_kbps)
        known = one.player in found.players or len(found.players) < MOST_PLAYERS
        player = one.player if known else "other"
        found.players[player] = found.players.get(player, 0) + 1
    found.played_s, found.stalled_s = played_ms / 1000, stalled_ms / 1000
    if played_ms + stalled_ms:
        found.rebuffer_ratio = round(stalled_ms / (played_ms + stalled_ms), 5)
    found.startup_ms = spread(startup)
    found.latency_ms = spread(latency)
    found.bitrate_kbps = spread(bitrate)
    return found


def spread(values: Sequence[float]) -> Spread | None:
    """Percentiles by nearest rank; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered)
    p50, p95, p99 = (ordered[math.ceil(last * share / 100) - 1] for share in (50, 95, 99))
    return Spread(last, p50, p95, p99)


def _amount(value: object) -> float | None:
    """A number that can be one; custom keys may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None
