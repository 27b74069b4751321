"""Track: the window of one track's segments, and the versions of what is listed of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from kinolog.core.timebase import rescale
from kinolog.record.control import Open, OpenTrack
from kinolog.timeline.events import ChunkEvent
from kinolog.timeline.segment import MICROSECONDS, Segment, filler

WINDOW_MS = 30_000
WINDOW_TARGETS = 6
"""The window has at least so many target durations."""
MAX_WINDOW_FACTOR = 4
"""Looking for a keyframe, the window grows to so many times its length and no further."""
MAX_WINDOW_SEGMENTS = 600
MAX_WINDOW_BYTES = 512 << 20
MAX_FILL = 64
"""A larger step in MSN starts the window anew."""
SEGMENTS_WITH_PARTS = 2
"""Whole segments whose parts are listed: with the one in progress three, the most that strict
validators take for three target durations."""
RETIRED_SEGMENTS = 3
"""Segments kept after they left the window, for requests under way."""
FIRST_WAIT_MS = 3_000
"""A track that has shown nothing is waited for while another shows so much media, or 1.5 target
durations of it."""
SILENT_WINDOWS = 3
"""A listed track is silent when another has gone on for the window's length divided by this."""

State = Literal["live", "away", "ended"]


class Position(NamedTuple):
    """The newest finished part of a track: `part` counts from 0 in the segment `msn`."""

    msn: int
    part: int


class Report(NamedTuple):
    """Where another track was (EXT-X-RENDITION-REPORT). `part` is -1 where there are none."""

    track: str
    msn: int
    part: int


class Hint(NamedTuple):
    """The part that comes next."""

    epoch: int
    msn: int
    part: int


class Version(NamedTuple):
    """What is listed of a track at one moment of the log; the same on every edge.

    Immutable, though `segments` are the live objects: those before the last are ended for good,
    and of the last only `tail_parts` parts and, with `tail_ended`, its end belong to this version.
    `parts_from` is the index of the first segment whose parts are still listed. `number` counts
    up within this process only.
    """

    number: int
    state: State
    open: Open
    segments: tuple[Segment, ...]
    tail_parts: int
    tail_ended: bool
    parts_from: int
    hint: Hint | None
    reports: tuple[Report, ...]

    @property
    def last(self) -> Position:
        """The newest finished part; (-1, -1) before the first."""
        if not self.segments:
            return Position(-1, -1)
        return Position(self.segments[-1].msn, self.tail_parts - 1)

    @property
    def last_whole_msn(self) -> int:
        """MSN of the newest ended segment; -1 before the first."""
        index = -1 if self.tail_ended else -2
        return self.segments[index].msn if len(self.segments) >= -index else -1


class Track:
    """One track of a live stream. Only LiveStream changes it; delivery reads it.

    `segments` are those listed, oldest first: ended ones, and the growing one once it has a
    finished part. `growing` is the one in progress, listed or not.

    A track that shows nothing while another goes on falls `silent`: nothing is listed of it until
    it speaks again, from its next segment on. So an edge that began after its last word says the
    same as one that heard it.
    """

    def __init__(self, name: str, window_ms: int) -> None:
        self.name = name
        self.info: OpenTrack | None = None
        """The track in the current session; None when that has no such track."""
        self.segments: list[Segment] = []
        self.retired: list[Segment] = []
        self.growing: Segment | None = None
        self.version: Version | None = None
        self.silent = False
        self.left_msn = -1
        """The segment that it fell silent in: what comes of it yet is passed over, as it is where
        the edge began later."""
        self._window_ms = window_ms
        self._open: Open | None = None
        self._epoch = -1
        self._part_ticks = 1
        self._target_ticks = 1
        self._holed_msn = -1
        self._missed_us: dict[str, int] = {}

    def opened(self, epoch: int, session: Open, info: OpenTrack | None) -> None:
        """A new session, with this track (`info`) or without. The one before was stopped."""
        self.info = info
        self._epoch = epoch
        self._open = session
        if info is not None:
            self._part_ticks = max(1, rescale(session.part_ms, 1000, info.timescale))
            self._target_ticks = max(1, rescale(session.target_ms, 1000, info.timescale))
            self.fall_silent()  # of a track that a session was without
            if not self.segments:
                self.silent = False
                self._missed_us.clear()

    def stop(self) -> bool:
        """The session is over: the growing segment ends short. True when there was one."""
        segment, self.growing = self.growing, None
        self._holed_msn = -1
        if segment is None:
            return False
        segment.end()
        self._list(segment)
        self._trim()
        return True

    def hole(self, msn: int) -> None:
        """A chunk of this segment is missing."""
        if self.growing is not None and self.growing.msn == msn:
            self.growing.break_()
        else:
            self._holed_msn = msn

    def missed(self, other: str, duration_us: int) -> None:
        """Another track went on by so much."""
        self._missed_us[other] = self._missed_us.get(other, 0) + duration_us

    def fall_silent(self) -> bool:
        """List nothing any more if another track has gone on for too long without this one; True
        when it has.

        Counted in media, in the order of the log and over sessions, since this track's last
        chunk; for one of which nothing is listed, since the open.
        """
        most_ms = self._window_length_ms() // SILENT_WINDOWS
        if not self.segments:
            assert self._open is not None
            most_ms = max(FIRST_WAIT_MS, 3 * self._open.target_ms // 2)
        if max(self._missed_us.values(), default=0) <= most_ms * 1000:
            return False
        if self.silent and self.growing is None:
            return False
        self.silent = True
        self.left_msn = self.growing.msn if self.growing is not None else -1
        self.growing = None
        self._holed_msn = -1
        self.retired = [item for item in self.segments if item.ended][-RETIRED_SEGMENTS:]
        self.segments.clear()
        return True

    def add(self, event: ChunkEvent) -> bool:
        """One more chunk. True when what is listed changed."""
        header = event.header
        self._missed_us.clear()
        segment = self.growing
        changed = False
        if segment is not None and segment.msn != header.msn:
            changed = self.stop()
            segment = None
        if segment is None:
            segment = self._begin(event)
        finished = segment.add(event, self._part_ticks)
        if segment.ended:
            self.growing = None
            self._list(segment)
            self._trim()
            return True
        if finished and segment.with_parts:
            self._list(segment)
            return True
        return changed

    def snapshot(self, state: State, reports: tuple[Report, ...]) -> None:
        """Make what is listed now the newest version."""
        session = self._open
        assert session is not None
        segments = tuple(self.segments)
        tail = segments[-1] if segments else None
        self.version = Version(
            number=self.version.number + 1 if self.version else 1,
            state=state,
            open=session,
            segments=segments,
            tail_parts=len(tail.parts) if tail else 0,
            tail_ended=tail.ended if tail else True,
            parts_from=self._parts_from(session),
            hint=self._hint(session, tail) if state == "live" else None,
            reports=reports,
        )

    def report(self) -> Report:
        """Where this track is now, for the playlists of the others. It has a segment."""
        newest = self.segments[-1]
        return Report(self.name, newest.msn, len(newest.parts) - 1 if newest.with_parts else -1)

    @property
    def held(self) -> list[Segment]:
        """The segments in memory from the window's first on, the growing one last."""
        growing = self.growing
        if growing is None or (self.segments and self.segments[-1] is growing):
            return self.segments
        return [*self.segments, growing]

    def find(self, epoch: int, msn: int) -> Segment | None:
        """The segment in memory with this name: listed, growing or lately retired."""
        growing = self.growing
        if growing is not None and growing.msn == msn:
            return growing if growing.epoch == epoch else None
        listed = self.segments
        if listed and listed[0].msn <= msn <= listed[-1].msn:
            segment = listed[msn - listed[0].msn]
            return segment if segment.epoch == epoch else None
        for segment in self.retired:
            if segment.msn == msn and segment.epoch == epoch:
                return segment
        return None

    def bit_rates(self) -> tuple[int, int] | None:
        """(peak, average) of the segments in the window, bits per second; None when empty.

        Until the first segment has ended, that of the parts so far. Segments of less than half
        the target duration (torn ones) do not count for the peak.
        """
        whole = [item for item in self.segments if item.ended and not item.gap]
        whole = whole or [item for item in self.segments if item.parts]
        total_us = sum(item.duration_us for item in whole)
        if total_us <= 0:
            return None
        average = _bit_rate(sum(item.size for item in whole), total_us)
        floor_us = (self._open.target_ms if self._open else 0) * 500
        peaks = [
            _bit_rate(item.size, item.duration_us)
            for item in whole
            if item.duration_us >= floor_us and item.duration_us > 0
        ]
        return max([average, *peaks]), average

    def _begin(self, event: ChunkEvent) -> Segment:
        header = event.header
        assert self._open is not None
        assert self.info is not None
        segment = Segment(header, self.info.timescale, self._open.parts)
        if self._holed_msn == header.msn:
            segment.break_()
        segment.video = self.info.kind == "video"
        self._holed_msn = -1
        self.growing = segment
        return segment

    def _list(self, segment: Segment) -> None:
        segments = self.segments
        self.silent = False
        if not segments:
            segments.append(segment)
            return
        before = segments[-1]
        if before is segment:
            return
        step = segment.msn - before.msn
        if not 1 <= step <= MAX_FILL:
            # Not a continuation of what is listed: players start anew.
            self.retired = segments[-RETIRED_SEGMENTS:]
            segments[:] = (segment,)
            return
        if step > 1:
            before = self._fill(before, segment, step - 1)
        if segment.epoch != before.epoch:
            segment.discontinuities = max(1, segment.disc - before.disc)
        segments.append(segment)

    def _fill(self, before: Segment, after: Segment, count: int) -> Segment:
        """Numbers that this track never used are gaps, so that positions stay numbers."""
        until = rescale(after.dts, after.timescale, before.timescale)
        target_ticks = rescale(self._target_ticks, after.timescale, before.timescale)
        each = min(max((until - before.end_dts) // count, 1), max(1, target_ticks))
        for _ in range(count):
            before = filler(before, before.msn + 1, each)
            self.segments.append(before)
        return before

    def _trim(self) -> None:
        start = self._window_start()
        if start:
            self.retired = [*self.retired, *self.segments[:start]][-RETIRED_SEGMENTS:]
            del self.segments[:start]

    def _window_start(self) -> int:
        """Index of the window's first segment.

        A pure function of the segments that follow it, so that an edge that started later comes
        to the same: the last `window_ms` in whole segments, further back to the newest segment
        that begins with a keyframe, but not beyond the bounds.
        """
        window_us = self._window_length_ms() * 1000
        total_us = total_bytes = 0
        keyframe = False
        segments = self.segments
        newest = len(segments) - 1
        for index in range(newest, -1, -1):
            segment = segments[index]
            total_bytes += segment.size
            if index < newest and (
                total_bytes > MAX_WINDOW_BYTES or newest - index >= MAX_WINDOW_SEGMENTS
            ):
                return index + 1
            if not segment.ended:
                continue
            total_us += segment.duration_us
            keyframe |= segment.independent and not segment.gap
            if total_us >= window_us and (keyframe or total_us >= MAX_WINDOW_FACTOR * window_us):
                return index
        return 0

    def _window_length_ms(self) -> int:
        assert self._open is not None
        return max(self._window_ms, WINDOW_TARGETS * self._open.target_ms)

    def _parts_from(self, session: Open) -> int:
        """Parts are listed of the segment in progress and the newest whole ones, none of which
        may end further than three target durations from the end."""
        zone_us = 3 * target_seconds(session) * MICROSECONDS
        segments = self.segments
        index = len(segments)
        after_us = 0
        whole = 0
        while index and after_us < zone_us:
            segment = segments[index - 1]
            whole += segment.ended
            if whole > SEGMENTS_WITH_PARTS:
                break
            index -= 1
            after_us += segment.duration_us
        if index:
            segments[index - 1].settle()
        return index

    def _hint(self, session: Open, tail: Segment | None) -> Hint | None:
        if self.info is None or not session.parts:
            return None
        growing = self.growing
        if growing is not None:
            return Hint(growing.epoch, growing.msn, len(growing.parts))
        if tail is None or tail.epoch != self._epoch:
            return None
        return Hint(tail.epoch, tail.msn + 1, 0)


def target_seconds(session: Open) -> int:
    """EXT-X-TARGETDURATION: whole seconds, constant for the life of the stream.

    Segments end before the target + 0.5 s, so rounded to the nearest they are not longer.
    """
    return -(-session.target_ms // 1000)


def _bit_rate(size_bytes: int, duration_us: int) -> int:
    return size_bytes * 8 * MICROSECONDS // duration_us
