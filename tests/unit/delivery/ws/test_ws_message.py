"""The WebSocket protocol's messages."""

from __future__ import annotations

import json
import math

import pytest

from kinolog.core.errors import InputError
from kinolog.delivery.ws import message
from kinolog.delivery.ws.message import HEAD, chunk_item, discontinuous, init_message
from kinolog.delivery.ws.viewer import Wish, sought, wish_of
from kinolog.record.control import Open
from kinolog.testing.log_script import AUDIO, VIDEO
from kinolog.timeline.segment import Chunk

NOW_MS = 1_767_225_600_000


def test_a_chunk_is_its_header_and_its_bytes() -> None:
    chunk = Chunk(3, 21, 9_000_000_000, 3000, NOW_MS, 5, independent=True)
    item = chunk_item(1, VIDEO.info, NOW_MS, 12, chunk, b"moof!")
    assert item.data.hex(" ", -4) == (
        "01020101 00000003 00000015 00000bb8 0000019b 76daa800 00000000 0000000c "
        "00000002 18711a00 0000019b 76daa800 6d6f6f66 21"
    )
    assert item[:6] == ("v0", NOW_MS, 12, 21, NOW_MS, True)
    cut = discontinuous(item)
    assert cut[3] == 3
    assert cut[:3] + cut[4:] == item.data[:3] + item.data[4:]
    assert HEAD.size == 48


def test_sound_can_be_begun_with_anywhere() -> None:
    chunk = Chunk(0, 4, 0, 1024, NOW_MS, 1, independent=False)
    assert chunk_item(0, AUDIO.info, 1, 2, chunk, b"x").independent
    assert not chunk_item(0, VIDEO.info, 1, 2, chunk, b"x").independent


def test_an_init_segment_has_its_track_and_epoch() -> None:
    data = init_message(2, NOW_MS, b"ftyp")
    assert HEAD.unpack_from(data) == (1, 1, 2, 1, 0, 0, 0, NOW_MS, 0, 0, 0)
    assert data[48:] == b"ftyp"


def test_a_session_tells_its_tracks() -> None:
    session = Open("s", "p", "k", 2000, 200, [VIDEO.info, AUDIO.info])
    told = json.loads(message.text("epoch", **message.session_of(7, session)))
    assert (told["type"], told["epoch"], told["target_ms"], told["part_ms"]) == (
        "epoch", 7, 2000, 200,
    )  # fmt: skip
    video, audio = told["tracks"]
    assert video == {
        "number": 0, "name": "v0", "kind": "video", "codec": "avc1.64001f", "timescale": 90_000,
        "language": "und", "width": 1280, "height": 720, "frame_rate": 25.0,
    }  # fmt: skip
    assert (audio["number"], audio["language"], audio["sample_rate"]) == (1, "eng", 48_000)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ('{"type":"play"}', message.Play()),
        (
            '{"type":"play","start":"-5m","speed":"max","id":3}',
            message.Play("-5m", "", "max", [], 3),
        ),
        ('{"type":"seek","to":1767225600.5}', message.Seek(1767225600.5)),
        ('{"type":"pause","more":1}', message.Pause()),
        ('{"type":"resume"}', message.Resume()),
        ('{"type":"speed","speed":0.5}', message.SpeedTo(0.5)),
        ('{"type":"window","bytes":1}', message.Window(1)),
        ('{"type":"ack","bytes":2}', message.Ack(2)),
    ],
)
def test_what_a_client_may_say(words: str, meant: message.Command) -> None:
    assert message.parse(words) == meant


@pytest.mark.parametrize(
    "words", ["", "{", "[]", "null", '{"type":"x"}', '{"type":"seek"}', "x" * 5000, "\ud800"]
)
def test_what_is_no_message_is_said(words: str) -> None:
    with pytest.raises(InputError):
        message.parse(words)


def test_a_wish() -> None:
    assert wish_of("live", "", "1", [""], NOW_MS) == Wish()
    assert wish_of("-10s", "-5s", "max", ["a", "b", "a"], NOW_MS) == Wish(
        NOW_MS - 10_000, NOW_MS - 5_000, math.inf, ("a", "b")
    )
    assert wish_of("1767225590.5", "", 0.5, [], NOW_MS) == Wish(NOW_MS - 9_500, None, 0.5)
    for start, end, speed in (
        ("", "-5s", 1), ("-5s", "", 0), ("-5s", "", -2), ("-5s", "", math.nan), ("-5s", "", 65),
        ("-5s", "", "fast"), ("x&end=-1s", "", 1), ("-5s", "-10s", 1), ("-5s&dvr=1h", "", 1),
    ):  # fmt: skip
        with pytest.raises(InputError):
            wish_of(start, end, speed, [], NOW_MS)


def test_a_seek() -> None:
    wish = Wish(NOW_MS - 60_000, NOW_MS - 30_000, 4.0, ("a",))
    assert sought("-10s", wish, NOW_MS) == Wish(NOW_MS - 10_000, None, 4.0, ("a",))
    assert sought("live", wish, NOW_MS) == Wish(tracks=("a",))
    for wrong in ("9999-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "soon"):
        with pytest.raises(InputError, match=r"^to"):
            sought(wrong, wish, NOW_MS)
