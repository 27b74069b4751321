"""Cut: which samples of a stream's tracks a clip has, and when each is shown. Pure.

A frame's date is the wall time of its segment, which is that of its first DTS, plus (PTS - that
DTS) in time: a session's first picture has one for both, and wall time goes by media time, so that
it does not matter in which order, or at what rate, pictures are decoded. The clip of [start, end)
shows the frames with start <= date < end: clips that follow one another share no frame and miss
none. Sound goes by media time, which is the same clock: it is heard from the first frame's PTS to
the end of the last, to the sample. Without pictures the same holds for the sound's own dates.

Where pictures pause in a session, the last one stands. What is missing (a publisher's absence, a
segment with a hole) is left out: the stretches on both sides, the sections, follow one another, and
all tracks go on at the same moment at each joint.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kinolog.core.timebase import rescale
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.lay import Piece
from kinolog.record.table import Row

HOLE_S = 1
"""What is missing for longer is left out; for less, the frame before it stays."""
PREROLL_MS = 80
"""Sound is decoded from so much before it is heard: what Opus asks for (RFC 7845, 4.6); AAC needs
one frame."""


class Section(NamedTuple):
    """Segments [first, stop) of the leading track, of one epoch, without holes, and what is shown
    of them: samples [begin, end) of its columns are in the clip, and [shown, until) is seen (PTS,
    ticks)."""

    first: int
    stop: int
    epoch: int
    begin: int
    end: int
    shown: int
    until: int


REORDER_MS = 1000
"""What is shown before a moment may be in a segment that begins so long after it."""
REACH_MS = 60_000
"""A keyframe lies at most so far before what needs it, where that is all that is looked for."""


class NoSyncError(Exception):
    """The first frame needs a sync sample from before what was read."""


def _section(
    lead: Columns,
    first: int,
    stop: int,
    timescale: int,
    start_ms: int,
    end_ms: int,
    by_sample: bool,
    complete: bool,
) -> Section | None:
    base = lead.samples(first)[0]
    last = lead.samples(stop - 1)[1]
    pts = lead.presentation_times(first, stop)
    durations = np.array(lead.duration[base:last], np.int64)
    ends = pts + durations
    bounds = [(lead.samples(n)[0] - base, lead.samples(n)[1] - base) for n in range(first, stop)]

    def cut_at(unix_ms: int) -> int | None:
        """The least PTS that has this date, or a later one; None where none has."""
        found: int | None = None
        for number in range(stop - 1, first - 1, -1):
            begin, end = bounds[number - first]
            own = pts[begin:end]
            since = lead.dts[number] - (lead.wall[number] - unix_ms) * timescale // 1000
            if by_sample:
                later = max(since, int(own.min())) if since < int(ends[begin:end].max()) else None
            else:
                kept = own[own >= since]
                later = int(kept.min()) if len(kept) else None
            if later is not None:
                found = later if found is None else min(found, later)
            # Before a keyframe nothing is shown later; amid a GOP it may be (B-frames).
            if since > int(own.max()) and lead.sync[base + begin]:
                break
        return found

    shown, until = cut_at(start_ms), cut_at(end_ms)
    if shown is None:
        return None
    until = int(ends.max()) if until is None else until
    synced = np.flatnonzero(np.frombuffer(lead.sync, np.uint8)[base:last])
    needed = shown - PREROLL_MS * timescale // 1000 if by_sample else shown
    before = synced[pts[synced] <= needed]
    if by_sample and not len(before):
        before = synced[:1]
    if not len(before):
        if not complete:
            raise NoSyncError
        if not len(synced):
            return None
        before = synced[:1]
        shown = max(shown, int(pts[before[0]]))
    begin = int(before[-1])
    wanted = np.flatnonzero((ends > shown if by_sample else pts >= shown) & (pts < until))
    wanted = wanted[wanted >= begin]
    if not len(wanted) or shown >= until:
        return None
    return Section(first, stop, lead.epoch[first], base + begin, base + int(wanted[-1]) + 1,
                   shown, until)  # fmt: skip


class Stretch(NamedTuple):
    """A section of any length, by names: its segments of the leading track have the numbers
    [first, last] of an epoch; the samples are those from `begin` on of the first, and up to `end`
    of the last. [shown, until) is seen (PTS, ticks). Its segments lie in [wall, over) (Unix ms)."""

    epoch: int
    first: int
    last: int
    begin: int
    end: int
    shown: int
    until: int
    wall: int
    over: int

    def samples(self, columns: Columns, segment: int) -> tuple[int, int]:
        """Those of a segment that belong to it, in its columns."""
        begin, end = columns.samples(segment)
        if columns.msn[segment] == self.last:
            end = min(end, begin + self.end)
        if columns.msn[segment] == self.first:
            begin += self.begin
        return begin, end


class Opening:
    """What is left out where a stretch of pictures begins: those that are decoded behind its first
    keyframe and shown before it (an open GOP). They need what is not there and are not in the clip;
    most decoders pass over them, and Chromium's of H.264 fails."""

    def __init__(self) -> None:
        self._stretch = -1
        self._shown: int | None = None

    def pieces(self, columns: Columns, piece: Piece, stretch: int, *, first: bool) -> list[Piece]:
        """What is kept of a piece of the stretch of this number. `first`: with it that begins."""
        segment, begin, end = piece
        if first or stretch != self._stretch:
            self._stretch, self._shown = stretch, None
        if self._shown is None and not first:
            return [piece]
        base = columns.samples(segment)[0]
        pts = columns.presentation_times(segment, segment + 1)[begin - base : end - base]
        shown = int(pts[0]) if self._shown is None else self._shown
        later = np.flatnonzero(pts[int(first) :] >= shown) + int(first)
        self._shown = None if len(later) else shown
        behind = begin + int(later[0]) if len(later) else end
        if first and behind <= begin + 1:
            return [piece]
        kept = [Piece(segment, behind, end)] if behind < end else []
        return [Piece(segment, begin, begin + 1), *kept] if first else kept


def unbroken(before: Row | None, row: Row, timescales: Mapping[int, int]) -> bool:
    """Whether a row goes on where the one before it ends."""
    return (
        before is not None
        and not row.gap
        and not before.gap
        and row.epoch == before.epoch
        and 0 <= row.dts - before.dts <= before.dur + HOLE_S * timescales[row.epoch]
    )


def shown_ms(row: Row, timescale: int) -> int:
    """When what a row shows first was captured, Unix ms."""
    return row.wall - -1000 * row.late // timescale


def stretch(
    ends: Columns, timescale: int, start_ms: int, end_ms: int, *, by_sample: bool, complete: bool
) -> tuple[Stretch, Section] | None:
    """What a clip of [start_ms, end_ms) (Unix ms) has of an unbroken run of segments, of which
    `ends` has the first ones and the last ones, all usable; also by its places in these. None where
    nothing. `by_sample`: a sample may be shown in part (sound). `complete`: nothing older is to be
    had, so that what cannot be decoded is left out; otherwise NoSyncError says that more is needed.
    """
    found = _section(ends, 0, len(ends), timescale, start_ms, end_ms, by_sample, complete)
    if found is None:
        return None
    begins = _segment_of(ends, found.begin)
    stops = _segment_of(ends, found.end - 1)
    return Stretch(
        found.epoch,
        ends.msn[begins],
        ends.msn[stops],
        found.begin - ends.samples(begins)[0],
        found.end - ends.samples(stops)[0],
        found.shown,
        found.until,
        ends.wall[begins],
        ends.wall[stops] + max(1, -(-1000 * ends.dur[stops] // timescale)),
    ), found


def _segment_of(columns: Columns, sample: int) -> int:
    return bisect_right(columns.samples_end, sample)


def date_of(lead: Columns, section: Section, timescale: int) -> int:
    """When what a section shows first was captured, Unix ms."""
    segment = _segment_of(lead, section.begin)
    return lead.wall[segment] + (section.shown - lead.dts[segment]) * 1000 // timescale


def lengths(found: Sequence[Stretch | Section], timescales: Mapping[int, int]) -> list[int]:
    """Where each section begins in the clip, and where the last ends: in ticks of the first."""
    scale = timescales[found[0].epoch]
    places, at = [0], 0
    for one in found:
        at += rescale(one.until - one.shown, timescales[one.epoch], scale)
        places.append(at)
    return places


class Heard(NamedTuple):
    """What is heard of a track of sound in a section: [shown, until) (ticks of the sound); the last
    frame may go on for `room` ticks. `opens`: with it the clip begins."""

    shown: int
    until: int
    room: int
    opens: bool
    timescale: int

    def overlaps(self, dts: int, dur: int) -> bool:
        """Whether a segment may have something of it."""
        return dts < self.until and dts + dur > self._since

    @property
    def _since(self) -> int:
        return self.shown - (PREROLL_MS * self.timescale // 1000 if self.opens else 0)

    def samples(self, columns: Columns, segment: int) -> tuple[int, int]:
        """Those of a segment that are in the clip, in its columns."""
        begin, end = columns.samples(segment)
        begins, lasts = columns.dts[segment], sum(columns.duration[begin:end])
        if self.shown <= begins and begins + lasts <= self.until:
            return begin, end
        dts = columns.decode_times(segment, segment + 1)
        ends = dts + np.array(columns.duration[begin:end], np.int64)
        kept = (ends > self._since) if self.opens else (dts >= self._since)
        kept &= (dts < self.until) & (ends <= self.until + self.room)
        wanted = np.flatnonzero(kept)
        if not len(wanted):
            return begin, begin
        return begin + int(wanted[0]), begin + int(wanted[-1]) + 1


def heard(one: Stretch, lead_scale: int, own_scale: int, *, opens: bool, room: int | None) -> Heard:
    """The sound of a stretch. `room`: as of room_before; None: as much as it likes."""
    shown = rescale(one.shown, lead_scale, own_scale)
    until = rescale(one.until, lead_scale, own_scale)
    return Heard(shown, until, 1 << 60 if room is None else room, opens, own_scale)


def room_before(sound: Columns, one: Stretch, lead_scale: int, own_scale: int) -> int:
    """By how much sound from before a stretch may go on in it: up to its own first frame of sound.
    `sound`: what is at its beginning."""
    what = heard(one, lead_scale, own_scale, opens=False, room=None)
    for segment in range(len(sound)):
        begin, end = what.samples(sound, segment) if not sound.gap[segment] else (0, 0)
        if begin < end:
            dts = sound.decode_times(segment, segment + 1)
            return max(0, int(dts[begin - sound.samples(segment)[0]]) - what.shown)
    return 0
