"""With which segment a list begins, and where in it players do."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.names import StreamName
from kinolog.delivery.borders import SLIVER_MS, Begin, Borders
from kinolog.record.control import Open, OpenTrack
from kinolog.record.page import INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.window import Run, in_time

STREAM = StreamName("cams", "gate")
BEGUN_MS = 100_000
TRACKS = [OpenTrack("video", "video", "c", 1000, b""), OpenTrack("audio", "audio", "c", 1000, b"")]


class Recorded:
    """Segments of two seconds, of a session each in a list: whether one begins with a keyframe, and
    how late it is. `overlap_ms`: so much of a session's end seems to be after the next's begin."""

    def __init__(self, *sessions: list[tuple[bool, int]], overlap_ms: int = 0) -> None:
        self.runs = []
        msn, wall = 0, BEGUN_MS
        for epoch, segments in enumerate(sessions, 1):
            rows = []
            for keyed, late in segments:
                flags = INDEPENDENT if keyed else 0
                rows.append(Row(epoch, epoch, msn, wall, 2000, wall, msn, msn, 1, msn, flags, late))
                msn, wall = msn + 1, wall + 2000
            wall -= overlap_ms
            self.runs.append(Run(Table(rows), 0, len(rows), epoch, epoch, 1000))

    async def between(self, name: Any, start_ms: float, end_ms: float, live: Any) -> list[Run]:
        return in_time(self.runs, start_ms, end_ms)


class InOrder:
    """Of segments that are shown in the order in which they are decoded."""

    async def since_in(self, name: Any, run: Run, at_ms: float) -> float:
        return at_ms

    async def drops(self, name: Any, run: Run) -> bool:
        return run.table.late[run.start] < 0


def begin(recorded: Recorded, since_ms: float, track: str = "video") -> Begin:
    opened = Open("s", "p", "k", 2000, 200, TRACKS)
    registry: Any = SimpleNamespace(epochs={STREAM: {1: SimpleNamespace(open=opened)}})
    channel: Any = SimpleNamespace(name=STREAM, live=SimpleNamespace(tracks={}))
    borders = Borders(recorded, InOrder(), registry)  # type: ignore[arg-type]
    return asyncio.run(borders.begin(channel, track, since_ms))


STEADY = [(True, 0)] * 6


@pytest.mark.parametrize("late", [0, 1, 300])
def test_with_the_segment_of_the_moment(late: int) -> None:
    recorded = Recorded([(True, late)] * 6)
    assert begin(recorded, 105_500) == (105_500, 105_500)
    assert begin(recorded, 105_500, "audio") == (104_000 + SLIVER_MS, 105_500)
    assert begin(recorded, 104_000) == (104_002, 104_000)


def test_amid_a_gop_with_the_keyframe_and_players_too() -> None:
    recorded = Recorded([(True, 0), (False, 0), (False, 0), (True, 0)])
    assert begin(recorded, 105_500) == (100_002, 100_000)
    assert begin(recorded, 106_500) == (106_500, 106_500)


def test_a_keyframe_that_players_would_drop_is_not_in_the_first() -> None:
    recorded = Recorded([(True, 0), (True, -400), (False, 0), (True, -400)])
    assert begin(recorded, 102_500) == (100_002, 102_500)
    assert begin(recorded, 102_500, "audio") == (100_000 + SLIVER_MS, 102_500)
    assert begin(recorded, 106_500) == (104_002, 106_500)
    # Amid its GOP players begin with that keyframe, in the second.
    assert begin(recorded, 105_500) == (100_002, 102_000)


def test_where_nothing_is_before_it_stays() -> None:
    assert begin(Recorded([(True, -400)] * 3), 101_000) == (101_000, 101_000)
    of_the_session_before = Recorded(STEADY, [(True, -400)] * 3)
    assert begin(of_the_session_before, 113_000) == (113_000, 113_000)


@pytest.mark.parametrize("overlap_ms", [0, 3, 40, 200])
def test_sessions_that_overlap_by_their_dates(overlap_ms: int) -> None:
    """No segment of the one before, where the moment is behind its end."""
    recorded = Recorded(STEADY, STEADY, overlap_ms=overlap_ms)
    since_ms = 112_000 - overlap_ms + 1500
    found = begin(recorded, since_ms)
    assert found.shown_ms == since_ms
    (first, *_) = asyncio.run(recorded.between(None, found.at_ms, 130_000, None))
    assert first.epoch == 2
    assert first.wall == 112_000 - overlap_ms


def test_where_nothing_is_the_moment_is_what_it_is() -> None:
    assert begin(Recorded(STEADY), 90_000) == (90_000, 90_000)
