"""The block code: what is drawn is read, after hard transcoding too, or not at all."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.media import blockcode
from kinolog.testing.frames import luma

NUMBERS = st.integers(0, blockcode.NUMBER_LIMIT - 1)


def drawn(number: int, width: int = 320, height: int = 180) -> np.ndarray:
    picture = np.full((height, width), 90, np.uint8)
    blockcode.draw(picture, number)
    return picture


@given(
    NUMBERS, st.integers(52, 400).map(lambda n: n * 2), st.integers(45, 300).map(lambda n: n * 2)
)
def test_reads_what_was_drawn_at_any_size(number: int, width: int, height: int) -> None:
    assert blockcode.read(drawn(number, width, height)) == number


def test_leaves_the_picture_above_the_strip_alone() -> None:
    picture = drawn(7, 320, 180)
    assert (picture[: 180 - 24] == 90).all()
    assert (picture[180 - 24 :] != 90).all()


@given(NUMBERS, st.floats(0.35, 1.2), st.integers(-16, 60))
def test_reads_through_another_range_and_contrast(number: int, gain: float, lift: int) -> None:
    picture = np.clip(drawn(number) * gain + lift, 0, 255).astype(np.uint8)
    assert blockcode.read(picture) == number


@given(NUMBERS, NUMBERS, st.floats(0.0, 1.0))
def test_a_blend_of_two_frames_is_one_of_them_or_nothing(a: int, b: int, share: float) -> None:
    blend = (drawn(a) * share + drawn(b) * (1 - share)).astype(np.uint8)
    assert blockcode.read(blend) in (a, b, None)


@given(NUMBERS, st.integers(0, 47))
def test_one_wrong_block_reads_as_nothing(number: int, bit: int) -> None:
    picture = drawn(number, 260, 150)
    row, column = divmod(bit, 24)
    block = picture[130 + row * 10 : 140 + row * 10, (column + 1) * 10 : (column + 2) * 10]
    block[:] = 251 - block
    assert blockcode.read(picture) is None


def test_noise_and_plain_pictures_read_as_nothing() -> None:
    random = np.random.default_rng(1)
    assert blockcode.read(np.full((180, 320), 128, np.uint8)) is None
    for _ in range(200):
        blocks = random.integers(0, 2, (2, 26), np.uint8) * 219 + 16
        blocks[:, 0], blocks[:, -1] = (235, 16), (16, 235)
        picture = np.full((150, 260), 90, np.uint8)
        picture[130:] = blocks.repeat(10, axis=0).repeat(10, axis=1)
        number = blockcode.read(picture)
        assert number is None or (drawn(number, 260, 150)[130:] == picture[130:]).all()


def test_a_picture_too_small_for_the_code_reads_as_nothing() -> None:
    assert blockcode.read(np.zeros((8, 20), np.uint8)) is None


@pytest.mark.parametrize("number", [-1, blockcode.NUMBER_LIMIT])
def test_refuses_a_number_that_does_not_fit(number: int) -> None:
    with pytest.raises(ValueError, match="block code"):
        drawn(number)


# Encoder, its settings, and the size to which 640x360 is scaled before it is encoded.
TRANSCODES = [
    ("libx264", {"crf": "35", "preset": "veryfast"}, (640, 360)),
    ("libx264", {"crf": "35", "preset": "veryfast"}, (160, 90)),
    ("libx264", {"crf": "35", "preset": "ultrafast", "tune": "zerolatency"}, (254, 144)),
    ("libx264", {"crf": "40", "preset": "ultrafast"}, (426, 240)),
    ("libvpx-vp9", {"b": "60000", "deadline": "realtime", "cpu-used": "8"}, (320, 180)),
    ("libvpx-vp9", {"b": "40000", "deadline": "realtime", "cpu-used": "8"}, (160, 90)),
    ("libvpx", {"b": "80000", "deadline": "realtime", "cpu-used": "8"}, (284, 160)),
    ("libx265", {"crf": "37", "preset": "ultrafast", "x265-params": "log-level=none"}, (200, 112)),
    ("mpeg2video", {"b": "300000"}, (480, 270)),
]


@pytest.mark.parametrize(("encoder", "options", "size"), TRANSCODES)
def test_survives_transcoding_and_scaling(
    encoder: str, options: dict[str, str], size: tuple[int, int]
) -> None:
    numbers = [*range(3000, 3040), *range(0xFFFF_FFD8, 0x1_0000_0000)]
    assert [blockcode.read(p) for p in transcoded(numbers, encoder, options, size)] == numbers


def transcoded(
    numbers: list[int], encoder: str, options: dict[str, str], size: tuple[int, int]
) -> list[np.ndarray]:
    """A busy picture with each of `numbers`, scaled, encoded and decoded."""
    writer = av.CodecContext.create(encoder, "w")
    writer.width, writer.height = size
    writer.pix_fmt, writer.time_base = "yuv420p", Fraction(1, 25)
    writer.framerate, writer.thread_count, writer.options = Fraction(25), 1, options
    packets = [p for frame in busy(numbers, size) for p in writer.encode(frame)]
    packets += writer.encode(None)
    reader = av.CodecContext.create(writer.codec.canonical_name, "r")
    frames = [f for p in packets for f in reader.decode(p)] + reader.decode(None)
    return [luma(frame) for frame in frames]


def busy(numbers: list[int], size: tuple[int, int]) -> list[av.VideoFrame]:
    """640x360 pictures of moving texture, scaled to `size`."""
    texture = np.random.default_rng(2).integers(30, 220, (90, 160), np.uint8)
    frames = []
    for index, number in enumerate(numbers):
        planes = np.full((540, 640), 128, np.uint8)
        moved = np.roll(texture, index * 3, axis=1)
        planes[:360] = moved.repeat(4, axis=0).repeat(4, axis=1)
        blockcode.draw(planes[:360], number)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p").reformat(*size)
        frame.pts, frame.time_base = index, Fraction(1, 25)
        frames.append(frame)
    return frames
