"""Media playlists: exact texts, and what must hold of every version."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.delivery.hls.playlist import MediaPlaylist
from kinolog.delivery.hls.text import decimal
from kinolog.record.control import Open, SessionEntry, decode_value
from kinolog.record.log_record import LogRecord
from kinolog.testing.log_script import (
    AUDIO,
    VIDEO,
    Item,
    as_records,
    close_item,
    end_item,
    session,
)
from kinolog.timeline.events import Event
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader
from kinolog.timeline.track import Version

LATER_MS = 1_700_000_020_000


def live_of(*items: Item) -> LiveStream:
    live, reader = LiveStream(), StreamReader()
    for record in as_records(items):
        for event in reader.feed(record):
            live.apply(event)
    return live


def render(live: LiveStream, name: str = "v0", *, skip: bool = False) -> str:
    version = live.tracks[name].version
    assert version is not None
    return MediaPlaylist(name).render(version, skip=skip).decode()


HEAD = """\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=0.600000,HOLD-BACK=6.0
#EXT-X-PART-INF:PART-TARGET=0.200000
"""


def parts_text(name: str, epoch: int, msn: int, parts: Sequence[int], first: str) -> str:
    lines = [
        f'#EXT-X-PART:DURATION=0.200000,URI="{name}/{epoch}/{msn}.{part}.m4s"'
        + (",INDEPENDENT=YES" if part == 0 else "")
        for part in parts
    ]
    return f"#EXT-X-PROGRAM-DATE-TIME:{first}\n" + "".join(f"{line}\n" for line in lines)


def test_a_stream_that_has_just_begun() -> None:
    live = live_of(*session(epoch=5, first_msn=7, seconds=2.5))
    assert render(live) == (
        HEAD + "#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="v0/5/init.mp4"\n'
        + parts_text("v0", 5, 7, range(10), "2023-11-14T22:13:20.000Z")
        + "#EXTINF:2.000000,\nv0/5/7.m4s\n"
        + parts_text("v0", 5, 8, range(2), "2023-11-14T22:13:22.000Z")
        + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="v0/5/8.2.m4s"\n'
        '#EXT-X-RENDITION-REPORT:URI="a0.m3u8",LAST-MSN=8,LAST-PART=1\n'
    )


def test_audio_has_its_own_exact_times() -> None:
    live = live_of(*session(epoch=5, seconds=0.5, tracks=(AUDIO,)))
    assert render(live, "a0") == (
        HEAD + "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="a0/5/init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n"
        '#EXT-X-PART:DURATION=0.192000,URI="a0/5/0.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.192000,URI="a0/5/0.1.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a0/5/0.2.m4s"\n'
    )


RECONNECT = (
    *session(epoch=5, disc=3, seconds=8.5, tracks=(VIDEO,)),
    close_item(5),
    *session(epoch=9, disc=4, first_msn=5, seconds=0.7, start_ms=LATER_MS, tracks=(VIDEO,)),
)


def test_a_reconnect_is_a_discontinuity_and_old_parts_are_not_listed() -> None:
    dates = [f"2023-11-14T22:13:{second}.000Z" for second in (20, 22, 24, 26, 28, 40)]
    assert render(live_of(*RECONNECT)) == (
        HEAD + "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="v0/5/init.mp4"\n'
        f"#EXT-X-PROGRAM-DATE-TIME:{dates[0]}\n#EXTINF:2.000000,\nv0/5/0.m4s\n"
        f"#EXT-X-PROGRAM-DATE-TIME:{dates[1]}\n#EXTINF:2.000000,\nv0/5/1.m4s\n"
        f"#EXT-X-PROGRAM-DATE-TIME:{dates[2]}\n#EXTINF:2.000000,\nv0/5/2.m4s\n"
        + parts_text("v0", 5, 3, range(10), dates[3])
        + "#EXTINF:2.000000,\nv0/5/3.m4s\n"
        + parts_text("v0", 5, 4, range(2), dates[4])
        + "#EXTINF:0.400000,\nv0/5/4.m4s\n"
        "#EXT-X-DISCONTINUITY\n"
        '#EXT-X-MAP:URI="v0/9/init.mp4"\n'
        + parts_text("v0", 9, 5, range(3), dates[5])
        + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="v0/9/5.3.m4s"\n'
    )


def test_no_hint_while_away_and_an_end_list_at_the_end() -> None:
    items = session(epoch=5, seconds=4.5, tracks=(VIDEO,))
    away = render(live_of(*items, close_item(5)))
    assert "PRELOAD-HINT" not in away
    assert "ENDLIST" not in away
    assert away.endswith("#EXTINF:0.400000,\nv0/5/2.m4s\n")
    assert render(live_of(*items, close_item(5), end_item(5))) == away + "#EXT-X-ENDLIST\n"


def test_a_gap_is_marked() -> None:
    items = session(epoch=5, seconds=2.5, tracks=(VIDEO,))
    text = render(live_of(*items[:9], *items[10:]))
    assert (
        '#EXT-X-PART:DURATION=0.200000,URI="v0/5/0.7.m4s"\n'
        '#EXT-X-PART:DURATION=0.200000,URI="v0/5/0.8.m4s",GAP=YES\n'
        '#EXT-X-PART:DURATION=0.200000,URI="v0/5/0.9.m4s",GAP=YES\n'
        "#EXT-X-GAP\n#EXTINF:2.000000,\nv0/5/0.m4s\n"
    ) in text
    assert text.count("#EXT-X-GAP\n") == 1


def test_an_epoch_without_parts_has_plain_hls() -> None:
    text = render(live_of(*session(epoch=5, seconds=4.5, parts=False, tracks=(VIDEO,))))
    assert text == (
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="v0/5/init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n#EXTINF:2.000000,\nv0/5/0.m4s\n"
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.000Z\n#EXTINF:2.000000,\nv0/5/1.m4s\n"
    )


def test_forced_cuts_take_the_promise_of_independent_segments_away() -> None:
    items = session(epoch=5, seconds=4.5, tracks=(VIDEO,))
    for item in items:
        if item.header.msn == 1:
            item.header.ind = False
    text = render(live_of(*items))
    assert "INDEPENDENT-SEGMENTS" not in text
    assert text.count("INDEPENDENT=YES") == 2


@pytest.mark.parametrize(
    ("keys", "start"),
    [({0, 2}, "4.000000"), ({0, 1}, "2.000000"), ({3}, None), ({0, 1, 2, 3}, None)],
)
def test_a_live_list_with_long_gops_names_a_keyframe_to_begin_with(
    keys: set[int], start: str | None
) -> None:
    """The newest that is no nearer to the live edge than players are to be."""
    items = session(epoch=5, seconds=6.4, tracks=(VIDEO,))
    for item in items:
        item.header.ind = item.header.ind and item.header.msn in keys
    found = re.search(r"#EXT-X-START:TIME-OFFSET=([\d.]+),PRECISE=YES\n", render(live_of(*items)))
    assert (found[1] if found else None) == start


def test_dates_stand_in_all_segments_or_none() -> None:
    items = session(epoch=5, seconds=4.5, tracks=(VIDEO,))
    for item in items:
        if item.header.msn == 1:
            item.header.wall = 0
    assert "PROGRAM-DATE-TIME" not in render(live_of(*items))


def test_a_delta_update_leaves_out_what_is_before_the_skip_boundary() -> None:
    live = live_of(*session(epoch=5, seconds=20.5, tracks=(VIDEO,)))
    full, delta = render(live), render(live, skip=True)
    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-PROGRAM-DATE-TIME" in delta
    head, tail = delta.split("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n")
    assert full.startswith(head)
    assert full.endswith(tail)
    assert tail.count("#EXTINF") == full.count("#EXTINF") - 3
    assert "v0/5/3.m4s" in tail
    assert "v0/5/2.m4s" not in tail


def test_a_delta_update_with_nothing_to_skip_is_the_playlist() -> None:
    live = live_of(*session(epoch=5, seconds=12.5, tracks=(VIDEO,)))
    assert render(live, skip=True) == render(live)


def test_a_playlist_is_made_once() -> None:
    live = live_of(*session(epoch=5, seconds=20.5))
    playlist, version = MediaPlaylist("v0"), live.tracks["v0"].version
    assert version is not None
    assert playlist.render(version) is playlist.render(version)
    assert playlist.render(version, skip=True) is playlist.render(version, skip=True)


def versions(
    records: Sequence[LogRecord], live: LiveStream, reader: StreamReader
) -> list[tuple[str, Version]]:
    taken = []
    for record in records:
        events: Sequence[Event] = reader.feed(record)
        for event in events:
            for track in live.apply(event):
                assert track.version is not None
                taken.append((track.name, track.version))
    return taken


HOLED = [
    item
    for item in session(epoch=5, seconds=41, chunk_frames=2)
    if (item.header.track, item.header.msn, item.header.chunk) not in {("v0", 9, 7), ("a0", 9, 9)}
]
LONG = as_records(
    [
        *HOLED,
        close_item(5),
        *session(epoch=9, disc=1, first_msn=22, seconds=50, start_ms=1_700_000_050_000),
        close_item(9),
        end_item(9),
    ]
)


def test_a_version_rendered_late_says_what_it_said_at_its_time() -> None:
    eager = {name: MediaPlaylist(name) for name in ("v0", "a0")}
    live, reader = LiveStream(), StreamReader()
    said = []
    for record in LONG:
        for name, version in versions([record], live, reader):
            said.append((name, version, eager[name].render(version)))
    assert len(said) > 700
    for name, version, text in said[::3]:
        assert MediaPlaylist(name).render(version) == text


def test_two_edges_say_the_same_at_the_same_part() -> None:
    old = versions(LONG, LiveStream(), StreamReader())
    renderers = {name: MediaPlaylist(name) for name in ("v0", "a0")}
    texts = [
        (renderers[name].render(version), renderers[name].render(version, skip=True))
        for name, version in old
    ]
    opened = decode_value(LONG[0].value, Open)
    for start in (40, 211, 333):
        live, reader = LiveStream(), StreamReader()
        for event in reader.start(SessionEntry(5, 0, 0, 0, opened)):
            live.apply(event)
        late = versions(LONG[start:], live, reader)
        renderers = {name: MediaPlaylist(name) for name in ("v0", "a0")}
        compared = 0
        for (name, version), (full, delta) in zip(late, texts[-len(late) :], strict=True):
            ended = version.segments[: None if version.tail_ended else -1]
            if sum(segment.duration_us for segment in ended) >= 30_000_000:
                assert renderers[name].render(version) == full
                assert renderers[name].render(version, skip=True) == delta
                compared += 1
        assert compared > 500


def test_every_version_keeps_the_rules() -> None:
    renderers = {name: MediaPlaylist(name) for name in ("v0", "a0")}
    newest: dict[str, tuple[int, int]] = {}
    for name, version in versions(LONG, LiveStream(), StreamReader()):
        text = renderers[name].render(version).decode()
        durations = [float(d) for d in re.findall(r"#EXTINF:([\d.]+)", text)]
        assert all(round(d) <= 2 for d in durations)
        assert all(float(d) <= 0.2 for d in re.findall(r"PART:DURATION=([\d.]+)", text))
        assert text.count("#EXT-X-PRELOAD-HINT") == (version.hint is not None)
        if version.segments:
            sequence = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", text)[0])
            uris = re.findall(r"^\w+/\d+/(\d+)\.m4s$", text, re.MULTILINE)
            assert [int(uri) for uri in uris] == list(range(sequence, sequence + len(uris)))

            assert version.last >= newest.get(name, (-1, -1))
            newest[name] = version.last


@pytest.mark.parametrize(
    ("ticks", "timescale", "text"),
    [(1, 90_000, "0.000011"), (9216, 48_000, "0.192000"), (3003, 90_000, "0.033366")],
)
def test_decimals_are_exact(ticks: int, timescale: int, text: str) -> None:
    assert decimal(ticks, timescale) == text


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_decimals_are_cut_off_at_the_microsecond(ticks: int, timescale: int) -> None:
    whole, _, rest = decimal(ticks, timescale).partition(".")
    assert len(rest) == 6
    assert 0 <= ticks * 1_000_000 - int(whole + rest) * timescale < timescale
