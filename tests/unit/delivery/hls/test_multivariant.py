"""The multivariant playlist."""

from __future__ import annotations

from collections.abc import Sequence

from kinolog.delivery.hls.multivariant import multivariant
from kinolog.testing.log_script import (
    AUDIO,
    VIDEO,
    Item,
    ScriptTrack,
    as_records,
    session,
    with_track,
)
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader

GERMAN = with_track(AUDIO, name="a1", language="deu", channels=6)
MORE_ENGLISH = with_track(AUDIO, name="a2")
UNKNOWN = with_track(AUDIO, name="a3", language="und", codec="opus")


def live_of(items: Sequence[Item]) -> LiveStream:
    live, reader = LiveStream(), StreamReader()
    for record in as_records(items):
        for event in reader.feed(record):
            live.apply(event)
    return live


def text_of(*tracks: ScriptTrack) -> str:
    made = multivariant(live_of(session(epoch=5, seconds=4.5, tracks=tracks)))
    assert made is not None
    return made.decode()


def test_video_and_audio() -> None:
    live = live_of(session(epoch=5, seconds=4.5))
    video, audio = (live.tracks[name].bit_rates() for name in ("v0", "a0"))
    assert video is not None
    assert audio is not None
    assert text_of(VIDEO, AUDIO) == (
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="eng",LANGUAGE="eng",DEFAULT=YES,'
        'AUTOSELECT=YES,CHANNELS="2",URI="a0.m3u8"\n'
        f"#EXT-X-STREAM-INF:BANDWIDTH={video[0] + audio[0]},"
        f"AVERAGE-BANDWIDTH={video[1] + audio[1]},"
        'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO="audio"\n'
        "v0.m3u8\n"
    )


def test_several_languages_have_names_of_their_own() -> None:
    text = text_of(VIDEO, AUDIO, GERMAN, MORE_ENGLISH, UNKNOWN)
    media = [line for line in text.splitlines() if line.startswith("#EXT-X-MEDIA")]
    assert [line.split("NAME=")[1].split(",DEFAULT")[0] for line in media] == [
        '"eng",LANGUAGE="eng"',
        '"deu",LANGUAGE="deu"',
        '"a2",LANGUAGE="eng"',
        '"a3"',
    ]
    assert ["DEFAULT=YES" in line for line in media] == [True, False, False, False]
    assert 'CHANNELS="6"' in media[1]
    assert 'CODECS="avc1.64001f,mp4a.40.2,opus"' in text


def test_video_alone_has_no_group() -> None:
    text = text_of(VIDEO)
    assert "EXT-X-MEDIA:" not in text
    assert "AUDIO=" not in text
    assert text.endswith('CODECS="avc1.64001f",RESOLUTION=1280x720,FRAME-RATE=25.000\nv0.m3u8\n')


def test_audio_alone_is_the_variant() -> None:
    text = text_of(AUDIO)
    assert "EXT-X-MEDIA:" not in text
    assert text.endswith('CODECS="mp4a.40.2"\na0.m3u8\n')
    several = text_of(AUDIO, GERMAN)
    assert several.count("EXT-X-MEDIA:") == 2
    assert several.count("EXT-X-STREAM-INF") == 1
    assert several.endswith('CODECS="mp4a.40.2",AUDIO="audio"\na0.m3u8\n')


def test_it_waits_for_the_first_part_of_every_track() -> None:
    assert multivariant(LiveStream()) is None
    items = [item for item in session(epoch=5, seconds=2.5) if item.header.track != "a0"]
    live = live_of(items)
    assert multivariant(live) is None
    without = multivariant(live, complete=False)
    assert without is not None
    assert b"a0" not in without
    assert multivariant(live_of(items[:1]), complete=False) is None


def test_forced_cuts_take_the_promise_of_independent_segments_away() -> None:
    items = session(epoch=5, seconds=4.5)
    for item in items:
        if item.header.track == "v0" and item.header.msn == 1:
            item.header.ind = False
    made = multivariant(live_of(items))
    assert made is not None
    assert b"INDEPENDENT-SEGMENTS" not in made
