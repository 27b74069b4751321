"""Cut: which samples of a stream's tracks a clip has, and when each is shown. Pure.

A frame's date is the wall time of its segment plus (PTS - least PTS of the segment) in time. The
clip of [start, end) shows the frames with start <= date < end: clips that follow one another share
no frame and miss none. Sound goes by media time, which is the same clock: it is heard from the
first frame's PTS to the end of the last, to the sample. Without pictures the same holds for the
sound's own dates, to the sample.

What is missing (a publisher's absence, a segment with a hole) is left out: the stretches on both
sides, the sections, follow one another, and all tracks go on at the same moment at each joint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinolog.core.errors import MediaError
from kinolog.core.timebase import rescale
from kinolog.delivery.clip.columns import Columns, Ticks

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


class Piece(NamedTuple):
    """Samples [begin, end) of a track's columns, all of one segment, in the clip's section of this
    number. `starts`: the first one's place in the clip, in ticks."""

    section: int
    segment: int
    begin: int
    end: int
    starts: int


@dataclass(frozen=True)
class TrackCut:
    """A track of the clip: its pieces, and the duration and composition offset of each of their
    samples, in ticks of `timescale`; the first is decoded at 0. `media_time`: what is shown at the
    clip's beginning; negative where that is before the first sample. `ends`: where its last sample
    ends."""

    timescale: int
    pieces: Sequence[Piece]
    durations: npt.NDArray[np.uint32]
    cts: npt.NDArray[np.int32]
    media_time: int
    ends: int

    @property
    def dts(self) -> Ticks:
        """When each sample is decoded."""
        durations = self.durations.astype(np.int64)
        return np.cumsum(durations) - durations


class NoSyncError(Exception):
    """The first frame needs a sync sample from before what was read."""


def sections(
    lead: Columns, timescales: Mapping[int, int], start_ms: int, end_ms: int, *, by_sample: bool,
    complete: bool,
) -> list[Section]:  # fmt: skip
    """The sections of [start_ms, end_ms) (Unix ms). `timescales`: of the leading track, by epoch.
    `by_sample`: a sample may be shown in part (sound). `complete`: nothing older is to be had, so
    that what cannot be decoded is left out; otherwise NoSyncError says that more is needed."""
    found: list[Section] = []
    for first, stop in _unbroken(lead, timescales):
        section = _section(
            lead, first, stop, timescales[lead.epoch[first]], start_ms, end_ms, by_sample,
            complete or bool(found) or first > 0,
        )  # fmt: skip
        if section is not None:
            found.append(section)
    return found


def _unbroken(lead: Columns, timescales: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    begun: int | None = None
    for index in range(len(lead)):
        goes_on = (
            begun is not None
            and not lead.gap[index]
            and lead.epoch[index] == lead.epoch[index - 1]
            and 0
            <= lead.dts[index] - lead.dts[index - 1]
            <= lead.dur[index - 1] + HOLE_S * timescales[lead.epoch[index]]
        )
        if goes_on:
            continue
        if begun is not None:
            yield begun, index
        begun = None if lead.gap[index] else index
    if begun is not None:
        yield begun, len(lead)


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
    pts = lead.decode_times(first, stop) + np.array(lead.cts[base:last], np.int64)
    durations = np.array(lead.duration[base:last], np.int64)
    ends = pts + durations
    bounds = [(lead.samples(n)[0] - base, lead.samples(n)[1] - base) for n in range(first, stop)]

    def cut_at(unix_ms: int) -> int | None:
        """The least PTS that has this date, or a later one; None where none has."""
        found: int | None = None
        for number in range(stop - 1, first - 1, -1):
            begin, end = bounds[number - first]
            own = pts[begin:end]
            least = int(own.min())
            since = least + -(-(unix_ms - lead.wall[number]) * timescale // 1000)
            if by_sample:
                later = max(since, least) if since < int(ends[begin:end].max()) else None
            else:
                kept = own[own >= since]
                later = int(kept.min()) if len(kept) else None
            if later is not None:
                found = later if found is None else min(found, later)
            if since > int(own.max()):
                break  # what is before it is older still
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


def lengths(found: Sequence[Section], timescales: Mapping[int, int]) -> list[int]:
    """Where each section begins in the clip, and where the last ends: in ticks of the first."""
    scale = timescales[found[0].epoch]
    places, at = [0], 0
    for one in found:
        at += rescale(one.until - one.shown, timescales[one.epoch], scale)
        places.append(at)
    return places


def cut_lead(lead: Columns, found: Sequence[Section], timescales: Mapping[int, int]) -> TrackCut:
    """The leading track of a clip of these sections, one at least."""
    scale = timescales[found[0].epoch]
    places = lengths(found, timescales)
    builder = _Builder(lead, scale)
    for number, section in enumerate(found):
        dts = lead.decode_times(section.first, section.stop)
        base = lead.samples(section.first)[0]
        builder.add(
            number, np.arange(section.begin, section.end), dts[section.begin - base :],
            timescales[section.epoch], section.shown, places[number],
        )  # fmt: skip
    return builder.done()


def cut_sound(
    sound: Columns,
    found: Sequence[Section],
    lead_scales: Mapping[int, int],
    own_scales: Mapping[int, int],
) -> TrackCut | None:
    """A track of sound beside the leading one; None where there is nothing of it.

    `own_scales`: its timescale in each epoch that has it.
    """
    first = next((one for one in found if one.epoch in own_scales), None)
    if first is None:
        return None
    scale = own_scales[first.epoch]
    lead_scale = lead_scales[found[0].epoch]
    builder = _Builder(sound, scale)
    # From the end, for what comes behind a joint says how far what is before it may reach.
    chosen: list[tuple[int, npt.NDArray[np.int64], Ticks, int, int]] = []
    room: int | None = None
    for number in range(len(found) - 1, -1, -1):
        section = found[number]
        own = own_scales.get(section.epoch)
        if own is None:
            room = None
            continue
        indices, dts, durations = _of_epoch(sound, section.epoch)
        shown = rescale(section.shown, lead_scales[section.epoch], own)
        until = rescale(section.until, lead_scales[section.epoch], own)
        since = shown if number else shown - PREROLL_MS * own // 1000
        kept = (dts >= since if number else dts + durations > since) & (dts < until)
        if number + 1 < len(found):
            kept &= dts + durations <= until + (room or 0)
        if not (dts[kept] + durations[kept] > shown).any():
            room = None
            continue
        chosen.append((number, indices[kept], dts[kept], own, shown))
        room = max(0, int(dts[kept][0]) - shown)
    places = lengths(found, lead_scales)
    for number, indices, dts, own, shown in reversed(chosen):
        at = rescale(places[number], lead_scale, scale)
        builder.add(number, indices, dts, own, shown, at)
    return builder.done() if chosen else None


def _of_epoch(
    columns: Columns, epoch: int
) -> tuple[npt.NDArray[np.int64], Ticks, npt.NDArray[np.integer]]:
    """The samples of an epoch: where in the columns, DTS, durations."""
    used = [
        segment
        for segment in range(len(columns))
        if columns.epoch[segment] == epoch and not columns.gap[segment]
    ]
    if not used:
        none = np.zeros(0, np.int64)
        return none, none, none
    indices = np.concatenate([np.arange(*columns.samples(segment)) for segment in used])
    dts = np.concatenate([columns.decode_times(segment, segment + 1) for segment in used])
    durations = np.frombuffer(columns.duration, np.uint32)[indices]
    return indices, dts, durations


class _Builder:
    """Puts sections behind one another: composition time = place in the clip + media_time."""

    def __init__(self, columns: Columns, scale: int) -> None:
        self._columns = columns
        self._scale = scale
        self._media_time: int | None = None
        self._pieces: list[Piece] = []
        self._dts: list[Ticks] = []
        self._composed: list[Ticks] = []
        self._last_duration = 1

    def add(
        self,
        section: int,
        indices: npt.NDArray[np.int64],
        dts: Ticks,
        own_scale: int,
        shown: int,
        at: int,
    ) -> None:
        """The samples `indices` of the columns, decoded at `dts` (and beyond) in ticks of
        `own_scale`; what has the media time `shown` is shown at `at` (ticks of the clip's)."""
        columns = self._columns
        dts = dts[: len(indices)]
        offsets = np.frombuffer(columns.cts, np.int32)[indices].astype(np.int64)
        placed = _rescaled(dts - shown, own_scale, self._scale) + at
        composed = _rescaled(dts + offsets - shown, own_scale, self._scale) + at
        if self._media_time is None:
            self._media_time = -int(placed[0])
        self._dts.append(placed + self._media_time)
        self._composed.append(composed + self._media_time)
        self._last_duration = max(
            1, rescale(columns.duration[int(indices[-1])], own_scale, self._scale)
        )
        begin = int(indices[0])
        at_sample = 0
        for segment in _segments_of(columns, indices):
            first, stop = columns.samples(segment)
            begin = max(first, int(indices[at_sample]))
            count = int(np.searchsorted(indices[at_sample:], stop))
            starts = int(placed[at_sample])
            self._pieces.append(Piece(section, segment, begin, begin + count, starts))
            at_sample += count

    def done(self) -> TrackCut:
        assert self._media_time is not None
        dts = np.concatenate(self._dts)
        composed = np.concatenate(self._composed)
        # Where a joint, or a clock that was rounded, would let time stand still.
        steps = np.arange(len(dts))
        dts -= steps
        np.maximum.accumulate(dts, out=dts)
        dts += steps
        steps = np.diff(dts, append=dts[-1] + self._last_duration)
        if int(steps.max()) >= 1 << 32:
            raise MediaError("the clip's sound pauses for too long")
        durations = steps.astype(np.uint32)
        ends = int((composed + durations).max())
        composed -= dts
        # Composition offsets that are never below 0: FFmpeg moves the DTS of a file with others,
        # and shows its first frame that much before 0.
        late = max(0, -int(composed.min()))
        composed += late
        if not -(1 << 31) <= int(composed.min()) <= int(composed.max()) < 1 << 31:
            raise MediaError("a composition offset of the clip does not fit its field")
        return TrackCut(
            self._scale,
            self._pieces,
            durations,
            composed.astype(np.int32),
            self._media_time + late,
            ends + late,
        )


def _segments_of(columns: Columns, indices: npt.NDArray[np.int64]) -> list[int]:
    ends = np.frombuffer(columns.samples_end, np.int64)
    found = np.searchsorted(ends, indices, side="right")
    return [int(one) for one in np.unique(found)]


def _rescaled(ticks: Ticks, from_scale: int, to_scale: int) -> Ticks:
    """As core.timebase.rescale, for many."""
    if from_scale == to_scale:
        return ticks
    return (2 * ticks * to_scale + from_scale) // (2 * from_scale)
