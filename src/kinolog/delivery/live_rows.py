"""What an edge has in memory of a stream's finished segments, as rows of the index."""

from __future__ import annotations

from bisect import bisect_left

from kinolog.core.timebase import rescale
from kinolog.delivery.channel import WHOLE, Awaited, Channel
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.measure import expected
from kinolog.timeline.segment import Segment
from kinolog.timeline.window import Run


def live_rows(channel: Channel, track: str) -> Table:
    """The finished segments that the channel holds of a track, as rows."""
    found = channel.live.tracks.get(track)
    version = found.version if found is not None else None
    if version is None:
        return Table()
    return Table(_row(one) for one in version.segments if one.ended and one.first_offset >= 0)


async def come_to(channel: Channel, track: str, end_ms: float) -> None:
    """Wait while the segment in which a moment lies is still being published."""
    while channel.live.state == "live" and channel.live.open is not None:
        found = channel.live.tracks.get(track)
        version = found.version if found is not None else None
        if found is None or found.silent or version is None:
            return
        whole = [one for one in version.segments if one.ended]
        if not whole or whole[-1].wall + whole[-1].duration_us // 1000 >= end_ms:
            return
        timeout_s = 1.5 * channel.live.open.target_ms / 1000 + 1
        if not await channel.wait(Awaited(track, whole[-1].msn + 1, WHOLE), timeout_s):
            return


def row_in_progress(channel: Channel, track: str, live: Table, *, over: bool = False) -> Row | None:
    """The segment that a track has begun behind `live`, once its first part is listed, as if it
    were as long as can be expected, or, `over`, as long as it is; None where there is none, or it
    is a gap."""
    found = channel.live.tracks.get(track)
    version = found.version if found is not None else None
    if version is None or not version.segments or version.tail_ended:
        return None
    tail = version.segments[-1]
    if tail.ended or tail.gap or tail.first_offset < 0:
        return None
    if over:
        return _row(tail)
    ticks = rescale(version.open.target_ms, 1000, tail.timescale)
    start = bisect_left(live.epoch, tail.epoch)
    if start < len(live):
        before = Run(live, start, len(live), tail.epoch, tail.disc, tail.timescale)
        ticks = expected(before, ticks, 1)[0]
    return _row(tail)._replace(dur=max(ticks, tail.duration_ticks))


def _row(segment: Segment) -> Row:
    flags = (INDEPENDENT if segment.independent else 0) | (GAP if segment.gap else 0)
    return Row(
        segment.epoch,
        segment.disc,
        segment.msn,
        segment.dts,
        segment.duration_ticks,
        segment.wall,
        segment.first_offset,
        segment.last_offset,
        segment.size,
        -1,
        flags,
        segment.late if segment.ended else 0,
    )
