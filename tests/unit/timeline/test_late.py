"""By how much what a segment shows first is later than its first DTS: the same from memory as from
the index."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kinolog.media.cmaf import Sample, chunk
from kinolog.record.control import Open, OpenTrack
from kinolog.record.header import Header
from kinolog.record.table import row_of
from kinolog.timeline.events import ChunkEvent, Opened
from kinolog.timeline.indexer import Indexer
from kinolog.timeline.live import LiveStream

TICKS = 1000
STEADY = [(40, 0), (40, 80), (40, -40), (40, -40)]
FASTER = [(200, -350), (40, -270), (40, -390), (40, -390)]
"""Since pictures come faster than at the session's begin, they are shown before their DTS."""
SLOWER = [(40, 300), (200, 360), (40, 200), (40, 360)]
OPEN = [(40, 60), (40, -60), (40, -40), (40, 40)]
"""With a picture that is decoded behind the keyframe, and shown before it."""
JOINED = [(40, 0), (40, -120), (40, -120), (40, 40)]
"""The same, of a stream that was joined at such a keyframe."""


def events(samples: Sequence[tuple[int, int]], each: int, kind: str) -> list[Opened | ChunkEvent]:
    """A session of one segment: (duration, cts) of its samples, so many a chunk."""
    opened = Open("s", "p", "k", 2000, 200, [OpenTrack("v", kind, "c", TICKS, b"")])  # type: ignore[arg-type]
    made: list[Opened | ChunkEvent] = [Opened(7, 0, opened, 0)]
    dts = 5_000
    for first in range(0, len(samples), each):
        own = samples[first : first + each]
        last = first + each >= len(samples)
        length = sum(duration for duration, _ in own)
        header = Header(
            1, "chunk", 7, track="v", msn=3, chunk=first // each, dts=dts, dur=length,
            ind=first == 0, ends="segment" if last else "", wall=1_700_000_000_000,
        )  # fmt: skip
        data = [
            Sample(b"x", duration, cts, sync=n + first == 0)
            for n, (duration, cts) in enumerate(own)
        ]
        payload = chunk(1, dts, data)
        made.append(ChunkEvent(header, payload, (first + 1,), (len(payload),)))
        dts += length
    return made


@pytest.mark.parametrize("each", [1, 2, 4])
@pytest.mark.parametrize(
    ("samples", "late"), [(STEADY, 0), (FASTER, -350), (SLOWER, 300), (OPEN, -20), (JOINED, -80)]
)
def test_memory_and_index_agree(samples: list[tuple[int, int]], late: int, each: int) -> None:
    live, indexer = LiveStream(), Indexer()
    entries = []
    for event in events(samples, each, "video"):
        live.apply(event)
        entries += indexer.apply(event)
    segment = live.find("v", 7, 3)
    assert segment is not None
    assert [row_of(entry, 9).late for entry in entries] == [late]
    assert segment.late == late
    segment.body()
    segment.settle()
    assert segment.late == late


def test_sound_has_none() -> None:
    live = LiveStream()
    for event in events(SLOWER, 4, "audio"):
        live.apply(event)
    segment = live.find("v", 7, 3)
    assert segment is not None
    assert segment.late == 0
