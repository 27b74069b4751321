"""Chunks: what chunk() writes, parse_chunk() reads; anything else is MediaError."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kinolog.core.errors import MediaError
from kinolog.media.boxes import box, boxes, find, full_box
from kinolog.media.cmaf import Sample, chunk, parse_chunk, reference_time

samples = st.lists(
    st.builds(
        Sample,
        st.binary(max_size=40),
        st.integers(0, 2**32 - 1),
        st.integers(-(2**31), 2**31 - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)
steady = st.lists(
    st.builds(Sample, st.binary(max_size=40), st.just(1024), st.just(0), st.just(True)),
    min_size=1,
    max_size=20,
)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), samples | steady)
def test_round_trip(number: int, time: int, given_samples: list[Sample]) -> None:
    data = chunk(number, time, given_samples)
    parsed = parse_chunk(data)
    assert parsed.sequence_number == number
    assert parsed.base_decode_time == time
    at = parsed.data_offset
    read = []
    for size, duration, cts, sync in zip(
        parsed.sizes, parsed.durations, parsed.cts, parsed.sync, strict=True
    ):
        read.append(Sample(data[at : at + size], duration, cts, sync))
        at += size
    assert read == given_samples
    assert at == len(data)


def test_audio_takes_the_short_form() -> None:
    """10 frames: 4 bytes each beside 92 of headers and one set of defaults."""
    data = chunk(1, 0, [Sample(b"x", 1024, 0, True)] * 10)
    assert len(data) == (8 + 16 + 8 + 24 + 20 + 20 + 4 * 10) + 8 + 10
    assert [b.type for b in boxes(data)] == [b"moof", b"mdat"]


@pytest.mark.parametrize(
    ("time", "bad"),
    [
        (0, []),
        (-1, [Sample(b"", 1, 0, True)]),
        (2**64, [Sample(b"", 1, 0, True)]),
        (0, [Sample(b"", -1, 0, True)]),
        (0, [Sample(b"", 2**32, 0, True)]),
        (0, [Sample(b"", 1, 2**31, True)]),
        (0, [Sample(b"", 1, -(2**31) - 1, True)]),
    ],
)
def test_what_does_not_fit_is_refused(time: int, bad: list[Sample]) -> None:
    with pytest.raises(MediaError):
        chunk(1, time, bad)


def test_a_reference_time_tells_the_capture_in_ntp() -> None:
    # 1970-01-01 is 2208988800 s of NTP (RFC 5905, figure 4); 1.25 s after it.
    found = reference_time(90_000, 1250.0)
    assert found == (
        b"\x00\x00\x00\x20prft\x01\x00\x00\x18\x00\x00\x00\x01"
        + (2_208_988_801).to_bytes(4, "big")
        + b"\x40\x00\x00\x00"
        + (90_000).to_bytes(8, "big")
    )
    assert parse_chunk(found + GOOD).data_offset == len(found) + parse_chunk(GOOD).data_offset


def test_ntp_begins_anew_in_2036() -> None:
    """A second after 2036-02-07 06:28:16 UTC (RFC 5905, 6: era 1)."""
    assert reference_time(0, 1000.0 * (2_085_978_496 + 1))[16:24] == b"\x00\x00\x00\x01" + bytes(4)


@pytest.mark.parametrize("media_time", [-1, 2**64])
def test_a_media_time_that_does_not_fit_is_refused(media_time: int) -> None:
    with pytest.raises(MediaError, match="prft"):
        reference_time(media_time, 0)


GOOD = chunk(7, 9000, [Sample(b"abcd", 3000, 6000, True), Sample(b"ef", 3001, -3000, False)])


@given(st.integers(0, len(GOOD) - 1))
@example(8)
def test_a_truncated_chunk_is_refused(cut: int) -> None:
    with pytest.raises(MediaError):
        parse_chunk(GOOD[:cut])


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_a_flipped_bit_is_refused_or_stays_inside(bit: int) -> None:
    data = bytearray(GOOD)
    data[bit // 8] ^= 1 << bit % 8
    try:
        parsed = parse_chunk(bytes(data))
    except MediaError:
        return
    assert parsed.data_offset >= 0
    assert parsed.data_offset + sum(parsed.sizes) <= len(data)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MediaError):
        parse_chunk(data)


def test_first_sample_flags_and_unsigned_offsets_of_other_writers() -> None:
    trun = full_box(
        b"trun", 0, 0x001 | 0x004 | 0x200 | 0x800,
        *(n.to_bytes(4, "big") for n in (2, 100, 0x02000000, 3, 0, 4, 2**32 - 1)),
    )  # fmt: skip
    tfhd = full_box(
        b"tfhd", 0, 0x020000 | 0x28, *(n.to_bytes(4, "big") for n in (1, 3000, 0x01010000))
    )
    tfdt = full_box(b"tfdt", 0, 0, (77).to_bytes(4, "big"))
    mfhd = full_box(b"mfhd", 0, 0, (3).to_bytes(4, "big"))
    moof = box(b"moof", mfhd, box(b"traf", tfhd, tfdt, trun))
    trun_at = moof.index((100).to_bytes(4, "big"))
    moof = moof[:trun_at] + (len(moof) + 8).to_bytes(4, "big") + moof[trun_at + 4 :]
    styp = box(b"styp", b"msdh")
    parsed = parse_chunk(styp + moof + box(b"mdat", b"abcdefg"))
    assert parsed == (
        3, 77, (3000, 3000), (3, 4), (0, 2**32 - 1), (True, False), len(styp) + len(moof) + 8
    )  # fmt: skip


def test_boxes_with_long_and_open_sizes() -> None:
    data = (1).to_bytes(4, "big") + b"free" + (18).to_bytes(8, "big") + b"xx"
    data += (0).to_bytes(4, "big") + b"mdat" + b"rest"
    assert [tuple(b) for b in boxes(data)] == [(b"free", 0, 16, 18), (b"mdat", 18, 26, 30)]


def test_find_descends() -> None:
    data = box(b"moov", box(b"free"), box(b"trak", box(b"mdia", b"")))
    found = find(data, b"moov/trak/mdia")
    assert data[found.start : found.end] == box(b"mdia", b"")
    with pytest.raises(MediaError):
        find(data, b"moov/udta")


def test_too_many_boxes_are_refused() -> None:
    with pytest.raises(MediaError):
        list(boxes(box(b"free") * 5000))
