"""Indexer: the index entries of finished media segments, a pure function of the media topic.

The same entries come out whether it runs at ingest after the acknowledgements, in the repair of
the next session, or in a rebuild of the whole index (DESIGN.md invariant 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from kinolog.core.errors import MediaError
from kinolog.media.cmaf import parse_chunk
from kinolog.record.control import SegmentEntry
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, GapEvent, Hole, Opened

_NOTHING: tuple[SegmentEntry, ...] = ()


class _Growing:
    """A segment's columns so far."""

    __slots__ = ("entry", "last_offset")

    def __init__(self, event: ChunkEvent) -> None:
        header = event.header
        self.last_offset = 0
        self.entry = SegmentEntry(
            track=header.track,
            epoch=header.epoch,
            disc=header.disc,
            msn=header.msn,
            dts=header.dts,
            dur=0,
            wall=header.wall,
            ind=header.ind,
            parts=0,
            offsets=[],
            sizes=[],
            chunk_samples=[],
            mdat=[],
            sample_sizes=[],
            sample_durations=[],
            sample_cts=[],
            sync=[],
        )

    def add(self, event: ChunkEvent) -> None:
        entry = self.entry
        for offset in event.offsets:
            entry.offsets.append(offset - self.last_offset)
            self.last_offset = offset
        entry.sizes.extend(event.sizes)
        entry.parts = event.header.part + 1
        entry.dur = max(0, event.header.dts + event.header.dur - entry.dts)
        try:
            chunk = parse_chunk(event.payload)
        except MediaError:
            # Bytes that are no chunk cannot be served by sample: the segment is a gap.
            entry.whole = False
            entry.chunk_samples.append(0)
            entry.mdat.append(0)
            return
        first = len(entry.sample_sizes)
        entry.chunk_samples.append(len(chunk.sizes))
        entry.mdat.append(chunk.data_offset)
        entry.sample_sizes.extend(chunk.sizes)
        entry.sample_durations.extend(chunk.durations)
        entry.sample_cts.extend(chunk.cts)
        entry.sync.extend(first + i for i, sync in enumerate(chunk.sync) if sync)


class Indexer:
    """Events of one stream in, the entry of each segment out when it is finished.

    A segment is finished by its `ends: segment` chunk, by the next MSN of its track, or by the
    next valid open, close or end. Short is whole; a segment with a hole is not.
    """

    def __init__(self) -> None:
        self._growing: dict[str, _Growing] = {}
        self._holed: dict[str, int] = {}

    def apply(self, event: Event) -> Sequence[SegmentEntry]:
        """The entries of the segments that this event finishes, oldest first."""
        match event:
            case ChunkEvent():
                return self._chunk(event)
            case Hole():
                self._hole(event)
                return _NOTHING
            case Opened() | Closed() | Ended():
                return self._finish_all()
            case GapEvent():
                return _NOTHING
            case _:
                assert_never(event)

    def _chunk(self, event: ChunkEvent) -> Sequence[SegmentEntry]:
        header = event.header
        name = header.track
        finished: list[SegmentEntry] = []
        growing = self._growing.get(name)
        if growing is not None and growing.entry.msn != header.msn:
            finished.append(growing.entry)
            growing = None
        if growing is None:
            growing = self._growing[name] = _Growing(event)
            growing.entry.whole = self._holed.pop(name, -1) != header.msn
        growing.add(event)
        if header.ends == "segment":
            finished.append(growing.entry)
            del self._growing[name]
        return finished

    def _hole(self, event: Hole) -> None:
        growing = self._growing.get(event.track)
        if growing is not None and growing.entry.msn == event.msn:
            growing.entry.whole = False
        else:
            self._holed[event.track] = event.msn

    def _finish_all(self) -> Sequence[SegmentEntry]:
        entries = [growing.entry for growing in self._growing.values()]
        entries.sort(key=lambda entry: entry.offsets[0])
        self._growing.clear()
        self._holed.clear()
        return entries
