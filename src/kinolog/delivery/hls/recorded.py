"""The lines of recorded media segments, and the playlist of a closed range of them (VOD).

Pure: from rows of the index to text. A row is a segment that left the live window, or one of a
range that has ended, so nothing of it ever changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from kinolog.core.timebase import rescale
from kinolog.delivery.hls.text import date_lines, decimal, map_line
from kinolog.record.page import GAP
from kinolog.timeline.measure import independent
from kinolog.timeline.segment import MICROSECONDS, Segment
from kinolog.timeline.window import Run

DATED = 32
"""EXT-X-PROGRAM-DATE-TIME stands at each discontinuity, at every so manieth number, and where dates
and media have parted by _APART_MS more (ingest slews dates towards its clock): players count on
from the last one, and hls.js lines lists up by any."""
_APART_MS = 4
MOST_FILLED = 5_000
"""So many numbers that a track did not use in a row are listed as gaps: a pause of hours."""
MOST_SEGMENTS = 200_000
"""A playlist has no more: over four days of 2 s segments, 20 MB."""


def lines(track: str, runs: Sequence[Run], target_ms: int, *, closed: bool) -> Iterator[str]:
    """The runs' segments, as after nothing. Numbers that were not used are gaps; in a `closed`
    list, which has numbers of its own, at most MOST_FILLED in a row, and then a discontinuity."""
    for lead, texts in pieces(track, runs, target_ms, closed=closed):
        yield lead + "".join(texts)


def pieces(
    track: str, runs: Sequence[Run], target_ms: int, *, closed: bool
) -> Iterator[tuple[str, list[str]]]:
    """The same in pieces: what stands before some segments in a row, and the text of each. Of a
    list that grows, every number has one. From the first number on that DATED divides, they are the
    same wherever a list begins."""
    before: Run | None = None
    for whole in runs:
        for run in _without_steps(whole):
            dated, lead = True, ""
            if before is None:
                lead = map_line(track, run.epoch)
            else:
                missing = run.first_msn - before.last_msn - 1
                same = run.epoch == before.epoch
                if closed and (not same or not 0 <= missing <= MOST_FILLED):
                    lead = "#EXT-X-DISCONTINUITY\n" + map_line(track, run.epoch)
                else:
                    if missing > 0:
                        dts = run.table.dts[run.start]
                        yield "", _gaps(track, before, missing, dts, run.timescale, target_ms)
                    dated = missing > 0 or not same
                    if not same:
                        count = max(1, run.disc - before.disc)
                        lead = "#EXT-X-DISCONTINUITY\n" * count + map_line(track, run.epoch)
            yield lead, _run(track, run, dated)
            before = run


def _without_steps(run: Run) -> Iterator[Run]:
    """The run in pieces within which every number is used."""
    msn = run.table.msn
    if run.last_msn - run.first_msn == run.count - 1:
        yield run
        return
    begun = run.start
    for index in range(run.start + 1, run.stop + 1):
        if index == run.stop or msn[index] != msn[index - 1] + 1:
            yield replace(run, start=begun, stop=index)
            begun = index


def _run(track: str, run: Run, dated: bool) -> list[str]:
    table, start, stop = run.table, run.start, run.stop
    durations = table.dur[start:stop]
    numbers = table.msn[start:stop]
    base = f"{track}/{run.epoch}/"
    head = {ticks: f"#EXTINF:{decimal(ticks, run.timescale)},\n{base}" for ticks in set(durations)}
    texts = [f"{head[ticks]}{msn}.m4s\n" for ticks, msn in zip(durations, numbers, strict=True)]
    for index in np.flatnonzero(np.array(table.flags[start:stop]) & GAP):
        texts[index] = "#EXT-X-GAP\n" + texts[index]
    first = 0 if dated else -run.first_msn % DATED
    regular = (*range(first, 1), *range(-run.first_msn % DATED or DATED, stop - start, DATED))
    walls = {index: table.wall[start + index] for index in (*regular, *_parted(run))}
    told = {index: wall for index, wall in walls.items() if wall}
    for index, date in zip(told, date_lines([*told.values()]), strict=True):
        texts[index] = date + texts[index]
    return texts


def _parted(run: Run) -> Iterator[int]:
    """Where the run's dates have parted from its media by a step since the last that was told,
    which a number that DATED divides always is."""
    table, scale = run.table, run.timescale
    step = _APART_MS * scale
    apart = np.array(table.wall[run.start : run.stop], np.int64) * scale
    apart -= 1000 * np.array(table.dts[run.start : run.stop], np.int64)
    if np.ptp(apart) < step:
        return
    told = int(apart[0])
    for index, one in enumerate(apart.tolist()):
        if not table.wall[run.start + index]:
            continue
        if table.msn[run.start + index] % DATED == 0:
            told = one
        elif not -step < one - told < step:
            told = one
            yield index


def _gaps(
    track: str, before: Run, count: int, next_dts: int, next_timescale: int, target_ms: int
) -> list[str]:
    """So many numbers behind a run for which there is nothing."""
    scale = before.timescale
    ended = before.table.dts[before.stop - 1] + before.table.dur[before.stop - 1]
    between = (rescale(next_dts, next_timescale, scale) - ended) // count
    each = min(max(between, 1), max(1, rescale(target_ms, 1000, scale)))
    gap = f"#EXT-X-GAP\n#EXTINF:{decimal(each, scale)},\n{track}/{before.epoch}/"
    first = before.last_msn + 1
    return [f"{gap}{msn}.m4s\n" for msn in range(first, first + count)]


def closed_head(runs: Sequence[Run], target_ms: int, start_ms: float) -> str:
    """The head of the playlist of a range that has ended. `start_ms`: the moment that was asked
    for (Unix ms)."""
    decodable = "#EXT-X-INDEPENDENT-SEGMENTS\n" if independent(runs) else ""
    return (
        "#EXTM3U\n#EXT-X-VERSION:9\n"
        f"#EXT-X-TARGETDURATION:{-(-target_ms // 1000)}\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"{decodable}{start_line(runs[0].wall, start_ms)}"
    )


def start_line(begins_ms: float, start_ms: float, *, always: bool = False) -> str:
    """EXT-X-START, where a playlist begins before the moment that was asked for, or `always`: a
    player begins a growing one near its end otherwise."""
    offset_us = max(0, round(1000 * (start_ms - begins_ms)))
    if not offset_us and not always:
        return ""
    return f"#EXT-X-START:TIME-OFFSET={decimal(offset_us, MICROSECONDS)},PRECISE=YES\n"


def unbroken(runs: Sequence[Run], below: int) -> list[Run]:
    """The last of the runs, as far back as a growing playlist can list them up to the number
    `below`: at most MOST_FILLED numbers in a row were not used."""
    kept: list[Run] = []
    next_msn = below
    for whole in reversed(runs):
        for run in reversed(list(_without_steps(whole))):
            if next_msn - run.last_msn - 1 > MOST_FILLED:
                return kept[::-1]
            kept.append(run)
            next_msn = run.first_msn
    return kept[::-1]


def joint(track: str, before: Run, live: Segment, target_ms: int) -> tuple[str, str]:
    """Between the last recorded run and a live segment: the gaps of the numbers that were not used,
    and the lines with which the live one begins."""
    filler = ""
    missing = live.msn - before.last_msn - 1
    if missing > 0:
        gaps = _gaps(track, before, missing, live.dts, live.timescale, target_ms)
        filler = "".join(gaps)
    if live.epoch == before.epoch:
        return filler, ""
    count = max(1, live.disc - before.disc)
    return filler, "#EXT-X-DISCONTINUITY\n" * count + map_line(track, live.epoch)
