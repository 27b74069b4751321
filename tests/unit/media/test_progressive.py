"""Progressive MP4: what FFmpeg reads of it is what went in."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from kinolog.delivery.clip.spool import Spool
from kinolog.ingest.encode_audio import AudioEncoder
from kinolog.ingest.encode_video import VideoEncoder, VideoTarget
from kinolog.media.boxes import boxes, find
from kinolog.media.init import init_segment
from kinolog.media.progressive import Edit, Head, Track
from kinolog.media.progressive import head as head_of
from kinolog.media.sample_tables import SampleTables

MOVIE = 90_000
SPOOL = Spool()


def video_init(width: int = 320) -> bytes:
    encoder = VideoEncoder(
        VideoTarget("h264"), track=0, width=width, height=180, frame_rate=Fraction(25),
        timescale=90_000,
    )  # fmt: skip
    return init_segment(encoder.format).data


def audio_init() -> bytes:
    return init_segment(AudioEncoder("aac", track=1).format).data


def column(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def a_track(inits: list[bytes], places: list[int], edits: list[Edit], **changed: object) -> Track:
    """Two chunks of two and one samples, of 3, 5 and 7 bytes."""
    fields: dict[str, Any] = {
        "timescale": 90_000,
        "sizes": column(3, 5, 7),
        "durations": column(3600, 3600, 7200),
        "cts": column(0, 7200, -3600),
        "sync": np.array([True, False, False]),
        "counts": column(2, 1),
        "descriptions": column(0, 0),
    } | changed
    tables = SampleTables(SPOOL)
    first = 0
    for count, description, place in zip(
        fields["counts"].tolist(), fields["descriptions"].tolist(), places, strict=True
    ):
        part = slice(first, first + count)
        one = column(count), column(place), column(description)
        tables.samples(fields["sizes"][part], fields["sync"][part], *one)
        tables.times(fields["durations"][part], fields["cts"][part])
        first += count
    tables.finish()
    return Track(inits, fields["timescale"], tables, edits)


def head(*args: Any) -> bytes:
    """All of it, also where it is read in pieces."""
    found: Head = head_of(*args)
    whole = found.read(0, found.size)
    pieces = [found.read(at, min(at + 7, found.size)) for at in range(0, found.size, 7)]
    assert b"".join(pieces) == whole
    return whole


def test_samples_are_where_and_when_the_tables_say() -> None:
    """Two tracks, their chunks one after the other: video, audio, video, audio."""
    video = a_track([video_init()], [0, 23], [Edit(14_400, 0)])
    audio = a_track(
        [audio_init()], [8, 30], [Edit(3_072 * 90_000 // 48_000, 0)], timescale=48_000,
        sizes=column(10, 5, 4), durations=column(1024, 1024, 1024), cts=column(0, 0, 0),
        sync=np.array([True] * 3),
    )  # fmt: skip
    body = b"AAABBBBBaaaaaaaaaabbbbbCCCCCCCcccc"
    data = head([video, audio], MOVIE, len(body), 1_767_225_600) + body
    with av.open(io.BytesIO(data), options={"advanced_editlist": "0"}) as container:
        assert container.metadata["creation_time"] == "2026-01-01T00:00:00.000000Z"
        packets = [(p.stream.type, p) for p in container.demux() if p.size]
    read = {kind: [p for of, p in packets if of == kind] for kind in ("video", "audio")}
    assert [bytes(p) for p in read["video"]] == [b"AAA", b"BBBBB", b"CCCCCCC"]
    assert [bytes(p) for p in read["audio"]] == [b"a" * 10, b"bbbbb", b"cccc"]
    assert [p.pts - p.dts for p in read["video"]] == [0, 7200, -3600]
    stbl = find(data, b"moov/trak/mdia/minf/stbl")
    stss = find(data, b"stss", stbl.body, stbl.end)
    assert data[stss.body + 4 : stss.end] == bytes([0, 0, 0, 1, 0, 0, 0, 1])
    assert [p.dts for p in read["audio"]] == [0, 1024, 2048]


@pytest.mark.parametrize(("size", "kind"), [(1 << 20, b"stco"), (1 << 33, b"co64")])
def test_offsets_have_the_room_that_they_need(size: int, kind: bytes) -> None:
    data = head([a_track([video_init()], [0, size - 7], [Edit(14_400, 0)])], MOVIE, size)
    ftyp, moov = boxes(data[: data.rindex(b"mdat") - 4])
    assert (ftyp.type, moov.type) == (b"ftyp", b"moov")
    stbl = find(data, b"trak/mdia/minf/stbl", moov.body, moov.end)
    table = find(data, kind, stbl.body, stbl.end)
    width = 4 if kind == b"stco" else 8
    offsets = np.frombuffer(data[table.body + 8 : table.end], f">u{width}")
    assert offsets.tolist() == [len(data), len(data) + size - 7]
    begins = data.rindex(b"mdat") - 4
    told = int.from_bytes(data[begins : begins + 4], "big")
    if told == 1:
        told = int.from_bytes(data[-8:], "big")
    assert told == len(data) - begins + size


def test_each_description_is_named_by_its_chunks() -> None:
    track = a_track([video_init(), video_init(640)], [0, 8], [Edit(14_400, 0)],
                    descriptions=column(0, 1))  # fmt: skip
    data = head([track], MOVIE, 15)
    stbl = find(data, b"moov/trak/mdia/minf/stbl")
    stsd = find(data, b"stsd", stbl.body, stbl.end)
    assert [box.type for box in boxes(data, stsd.body + 8, stsd.end)] == [b"avc1", b"avc1"]
    stsc = find(data, b"stsc", stbl.body, stbl.end)
    rows = np.frombuffer(data[stsc.body + 8 : stsc.end], ">u4").reshape(-1, 3)
    assert rows.tolist() == [[1, 2, 1], [2, 1, 2]]
