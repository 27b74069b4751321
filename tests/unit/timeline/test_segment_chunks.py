"""A segment gives its chunks as they came, growing, ended, joined and let go."""

from __future__ import annotations

import pytest

from kinolog.testing.log_script import AUDIO, VIDEO, as_records, session
from kinolog.timeline.events import ChunkEvent
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader


@pytest.mark.parametrize("chunk_frames", [0, 1, 2])
def test_chunks_are_those_of_the_log(chunk_frames: int) -> None:
    live, reader = LiveStream(), StreamReader()
    came: list[ChunkEvent] = []
    items = session(epoch=1, seconds=9, tracks=(VIDEO, AUDIO), chunk_frames=chunk_frames)
    for count, record in enumerate(as_records(items)):
        for event in reader.feed(record):
            live.apply(event)
            if isinstance(event, ChunkEvent):
                came.append(event)
        if count % 7 == 0:  # players ask in between
            for track in live.tracks.values():
                for segment in track.held:
                    [segment.part_body(n) for n in range(len(segment.parts))]
                    if segment.ended:
                        segment.body()
                    list(segment.chunks())
    for name in ("v0", "a0"):
        held = [
            (segment.msn, *chunk, body)
            for segment in live.tracks[name].held
            for chunk, body in segment.chunks()
        ]
        wanted = [
            (h.msn, h.part, h.chunk, h.dts, h.dur, h.wall, len(event.payload), h.ind, event.payload)
            for event in came
            if (h := event.header).track == name
        ]
        assert held == wanted
        assert len(held) > 20
