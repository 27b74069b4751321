"""What an edge has in memory of a stream's finished segments, as rows of the index."""

from __future__ import annotations

from kinolog.delivery.channel import Channel
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.segment import Segment


def live_rows(channel: Channel, track: str) -> Table:
    """The finished segments that the channel holds of a track, as rows."""
    found = channel.live.tracks.get(track)
    version = found.version if found is not None else None
    if version is None:
        return Table()
    return Table(_row(one) for one in version.segments if one.ended and one.first_offset >= 0)


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
    )
