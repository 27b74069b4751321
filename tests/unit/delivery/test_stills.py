"""Stills of what cannot be decoded."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest

from kinolog.core.errors import InputError, MediaError
from kinolog.delivery.picture import encoded
from kinolog.delivery.stills import width_of


def init_segment() -> bytes:
    """A fragmented MP4 that has a track and no pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"movflags": "empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return file.getvalue()


def test_no_picture_is_an_error_and_not_the_end_of_an_iterator() -> None:
    """A StopIteration never leaves an executor's future: whoever waited would wait for ever."""
    with pytest.raises(MediaError):
        encoded(init_segment(), 480, "jpeg")


def test_a_width_is_rounded_up_to_one_that_is_made() -> None:
    assert width_of("at=-5s", 480, (160, 480)) == 480
    assert width_of("w=100", 480, (160, 480)) == 160
    for wrong in ("", "0", "481", "-1", "x", "٩"):
        with pytest.raises(InputError, match="w is a width"):
            width_of(f"w={wrong}", 480, (160, 480))
