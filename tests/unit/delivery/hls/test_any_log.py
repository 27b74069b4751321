"""Whatever a log holds, a reader, the window, the index and the playlists survive it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kinolog.delivery import media_requests
from kinolog.delivery.hls import requests
from kinolog.delivery.hls.multivariant import multivariant
from kinolog.delivery.hls.playlist import MediaPlaylist
from kinolog.record.header import Header
from kinolog.testing.log_script import (
    VIDEO,
    Item,
    as_records,
    close_item,
    end_item,
    open_item,
    session,
)
from kinolog.timeline.indexer import Indexer
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader

BASE = session(epoch=3, seconds=4.5, tracks=(VIDEO,))
NUMBER = st.one_of(st.integers(-1, 20), st.integers(-(2**63), 2**63 - 1))
HEADERS = st.builds(
    Header,
    v=st.just(1),
    kind=st.sampled_from(["chunk"] * 8 + ["open", "close", "gap", "end"]),
    epoch=st.sampled_from([2] * 8 + [0, 1, 3]),
    track=st.sampled_from(["v0", "v0", "a0", "x"]),
    disc=NUMBER,
    msn=NUMBER,
    part=NUMBER,
    chunk=NUMBER,
    piece=st.sampled_from([0, 0, 0, 0, 1, 2, -1]),
    pieces=st.sampled_from([1, 1, 1, 1, 2, 3, -1]),
    dts=NUMBER,
    dur=NUMBER,
    ind=st.booleans(),
    ends=st.sampled_from(["", "part", "segment"]),
    wall=NUMBER,
)
ITEMS = st.one_of(
    st.sampled_from(BASE),
    st.builds(Item, HEADERS, st.binary(max_size=40)),
    st.builds(Item, HEADERS, st.just(b"")),
    st.builds(Item, HEADERS, st.just(b"{}")),
    st.sampled_from([open_item(3), open_item(4), close_item(2), end_item(2)]),
)


@settings(max_examples=120)
@given(st.lists(ITEMS, max_size=60))
def test_any_log_is_survived(items: list[Item]) -> None:
    live, reader, indexer = LiveStream(), StreamReader(), Indexer()
    renderers: dict[str, MediaPlaylist] = {}
    for record in as_records([open_item(2), *items]):
        for event in reader.feed(record):
            indexer.apply(event)
            for track in live.apply(event):
                version = track.version
                assert version is not None
                renderer = renderers.setdefault(track.name, MediaPlaylist(track.name))
                text = renderer.render(version).decode()
                assert text.startswith("#EXTM3U\n")
                assert "DURATION=-" not in text
                assert "EXTINF:-" not in text
                renderer.render(version, skip=True)
                requests.playlist(requests.Directives(3, 1), version)
                numbers = [segment.msn for segment in version.segments]
                assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
                for segment in version.segments:
                    media_requests.segment(live, track.name, segment.epoch, segment.msn)
                    media_requests.part(live, track.name, segment.epoch, segment.msn, 0)
    multivariant(live, complete=False)
