"""Synthetic packets, and the checks that every cut must pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import groupby, pairwise

from kinolog.media.cmaf import parse_chunk
from kinolog.media.types import Packet, TrackFormat
from kinolog.packager import Chunk, CutSettings, Packager, TrackPlan

UNIX_S = 1_700_000_000
MSN = 1000


def video_format(timescale: int = 90_000, frame_rate: Fraction | None = None) -> TrackFormat:
    return TrackFormat("h264", timescale, frame_rate=frame_rate)


AAC_48K = TrackFormat("aac", 48_000, sample_rate=48_000, channels=2)
AAC_44K = TrackFormat("aac", 44_100, sample_rate=44_100, channels=2)
AAC_MS = TrackFormat("aac", 1000, sample_rate=44_100, channels=2)
OPUS = TrackFormat("opus", 48_000, sample_rate=48_000, channels=2)
SAMPLES_A_FRAME = {"aac": 1024, "opus": 960}


def at(track_format: TrackFormat, seconds: Fraction) -> int:
    """The nearest tick to that time after the epoch of these tests."""
    return round((UNIX_S + seconds) * track_format.timescale)


def video(
    track_format: TrackFormat,
    frame_rate: Fraction,
    seconds: Fraction,
    gop: int,
    *,
    track: int = 0,
    b_frames: int = 0,
) -> list[Packet]:
    """Constant frame rate, a keyframe every `gop` frames; I/P pictures delayed by `b_frames`."""
    packets = []
    for index in range(int(seconds * frame_rate)):
        dts = at(track_format, index / frame_rate)
        in_gop = index % gop
        late = 0
        if b_frames:
            late = 1 + (b_frames if in_gop % (b_frames + 1) == 0 else -1)
        pts = at(track_format, (index + late) / frame_rate)
        data = b"%d/%d." % (track, index) * (8 if in_gop == 0 else 2)
        packets.append(Packet(track, dts, pts, None, in_gop == 0, data))
    return packets


def audio(
    track_format: TrackFormat, seconds: Fraction, *, track: int = 1, start: Fraction = Fraction(0)
) -> list[Packet]:
    frame = Fraction(SAMPLES_A_FRAME[track_format.codec], track_format.sample_rate)
    packets = []
    for index in range(int(seconds / frame)):
        dts = at(track_format, start + index * frame)
        packets.append(Packet(track, dts, dts, None, True, b"a%d/%d" % (track, index)))
    return packets


def interleave(
    formats: Sequence[TrackFormat],
    tracks: Iterable[list[Packet]],
    late: Sequence[Fraction] = (),
) -> list[Packet]:
    """In order of time, the packets of track n `late[n]` seconds after their time."""
    delays = list(late) or [Fraction(0)] * len(formats)

    def arrival(packet: Packet) -> Fraction:
        return Fraction(packet.dts, formats[packet.track].timescale) + delays[packet.track]

    return sorted((packet for packets in tracks for packet in packets), key=arrival)


def wall_of(dts: int, timescale: int) -> float:
    return dts * 1000 / timescale


def packager(formats: Sequence[TrackFormat], settings: CutSettings) -> Packager:
    plans = [
        TrackPlan(f"{form.kind[0]}{index}", form, MSN + 10 * index)
        for index, form in enumerate(formats)
    ]
    return Packager(plans, settings, epoch=7, disc=3, wall_of=wall_of)


def cut(
    formats: Sequence[TrackFormat], settings: CutSettings, packets: Iterable[Packet]
) -> list[list[Chunk]]:
    """The chunks of each track, in the order in which they came out."""
    cutter = packager(formats, settings)
    chunks = [chunk for packet in packets for chunk in cutter.push(packet)]
    chunks += cutter.flush()
    names = [f"{form.kind[0]}{index}" for index, form in enumerate(formats)]
    return [[chunk for chunk in chunks if chunk.header.track == name] for name in names]


def segments(chunks: list[Chunk]) -> list[list[Chunk]]:
    return [list(group) for _, group in groupby(chunks, key=lambda chunk: chunk.header.msn)]


def parts(segment: list[Chunk]) -> list[list[Chunk]]:
    return [list(group) for _, group in groupby(segment, key=lambda chunk: chunk.header.part)]


def frames(chunks: Iterable[Chunk]) -> int:
    return sum(len(parse_chunk(chunk.payload).sizes) for chunk in chunks)


def lasting_frames(chunks: Iterable[Chunk]) -> int:
    """Frames that last: of several at one DTS only the last does."""
    return sum(d > 0 for chunk in chunks for d in parse_chunk(chunk.payload).durations)


def duration_ms(chunks: Sequence[Chunk], timescale: int) -> Fraction:
    return Fraction(1000 * sum(chunk.header.dur for chunk in chunks), timescale)


def check_samples(chunks: list[Chunk], packets: list[Packet], *, tiled: bool = True) -> None:
    """Every packet exactly once, in order, at its time; chunks tile the time line."""
    samples = []
    for number, chunk in enumerate(chunks, 1):
        header, parsed = chunk.header, parse_chunk(chunk.payload)
        assert parsed.sequence_number == number
        assert parsed.base_decode_time == header.dts
        assert sum(parsed.durations) == header.dur
        assert header.ind == parsed.sync[0]
        assert (header.epoch, header.disc, header.kind) == (7, 3, "chunk")
        dts, offset = header.dts, parsed.data_offset
        for size, duration, cts, sync in zip(
            parsed.sizes, parsed.durations, parsed.cts, parsed.sync, strict=True
        ):
            samples.append((dts, dts + cts, sync, chunk.payload[offset : offset + size]))
            dts += duration
            offset += size
        assert offset == len(chunk.payload)
    assert samples == [(p.dts, p.pts, p.keyframe, p.data) for p in packets]
    if tiled:
        for before, after in pairwise(chunks):
            assert before.header.dts + before.header.dur == after.header.dts


def unused(chunks: Sequence[Chunk], settings: CutSettings, timescale: int) -> list[int]:
    """How many MSNs before each segment have to be left out, for the hole before it."""
    target = settings.target_ms * timescale // 1000
    counts = [0]
    for before, after in pairwise(segments(list(chunks))):
        last, step = before[-1].header, after[0].header.dts - before[-1].header.dts
        long = step * 1000 >= (settings.target_ms + 500) * timescale
        counts.append(-(-(step - last.dur) // target) if long else 0)
    return counts


def check_numbers(
    chunks: list[Chunk], first_msn: int, *, exact: bool = True, unused: Sequence[int] = ()
) -> None:
    """MSN, part and chunk numbers without holes but those that are `unused` before each segment;
    `ends` says what the next numbers say."""
    expected_msn = first_msn - 1
    for number, segment in enumerate(segments(chunks)):
        expected_msn += 1 + (unused[number] if unused else 0)
        assert {chunk.header.msn for chunk in segment} == {expected_msn}
        assert [chunk.header.chunk for chunk in segment] == list(range(len(segment)))
        numbers = [part[0].header.part for part in parts(segment)]
        assert numbers == list(range(len(numbers)))
        if not exact:
            continue
        assert [chunk.header.ends for chunk in segment].count("segment") == 1
        assert segment[-1].header.ends == "segment"
        for part in parts(segment)[:-1]:
            assert [chunk.header.ends for chunk in part] == [""] * (len(part) - 1) + ["part"]


def check_limits(chunks: list[Chunk], settings: CutSettings, timescale: int) -> None:
    """No segment at target + 0.5 s; no part over its duration, but for a single frame."""
    for segment in segments(chunks):
        assert duration_ms(segment, timescale) < settings.target_ms + 500, segment[0].header
        for part in parts(segment) if settings.parts else []:
            assert duration_ms(part, timescale) <= settings.part_ms or lasting_frames(part) == 1


def check_fill(chunks: list[Chunk], settings: CutSettings, track_format: TrackFormat) -> None:
    """Parts hold at least 85 %, unless with a keyframe of video or the last of a segment."""
    for segment in segments(chunks):
        for part in parts(segment)[:-1]:
            key = any(any(parse_chunk(chunk.payload).sync) for chunk in part)
            full = duration_ms(part, track_format.timescale) >= Fraction(85, 100) * settings.part_ms
            assert full or (track_format.kind == "video" and key), part[0].header


def check_all(
    formats: Sequence[TrackFormat],
    settings: CutSettings,
    packets: Iterable[Packet],
    *,
    fill: bool = True,
) -> list[list[Chunk]]:
    """Cut in a holding profile, all rules checked; the chunks of each track."""
    packets = list(packets)
    tracks = cut(formats, settings, packets)
    for index, (form, chunks) in enumerate(zip(formats, tracks, strict=True)):
        check_samples(chunks, [packet for packet in packets if packet.track == index])
        check_numbers(chunks, MSN + 10 * index)
        check_limits(chunks, settings, form.timescale)
        if fill and settings.parts:
            check_fill(chunks, settings, form)
    return tracks
