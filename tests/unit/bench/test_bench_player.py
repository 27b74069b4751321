"""The player of the benchmark: playlists read, hinted parts, refusals, a new epoch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kinolog.bench.follower import Place
from kinolog.bench.listing import parse_listing, place_of
from kinolog.bench.player import Player
from kinolog.core.errors import ConfigError, MediaError, Unavailable
from kinolog.delivery.hls.playlist import MediaPlaylist
from kinolog.testing.log_script import as_records, close_item, end_item, session
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader


def playlist(*, seconds: float = 5.4, ended: bool = False, parts: bool = True) -> str:
    """The edge's own, of a made-up stream."""
    live, reader = LiveStream(), StreamReader()
    items = session(epoch=7, seconds=seconds, parts=parts)
    tail = [close_item(7), end_item(7)] if ended else []
    for record in as_records([*items, *tail]):
        for event in reader.feed(record):
            live.apply(event)
    version = live.tracks["v0"].version
    assert version is not None
    return MediaPlaylist("v0").render(version).decode()


def test_a_playlist_of_our_edge() -> None:
    found = parse_listing(playlist())
    assert [part.place for part in found.parts] == [
        Place(7, msn, part) for msn in range(3) for part in range(10) if (msn, part) <= (2, 6)
    ]
    assert [part.place.part for part in found.parts if part.independent] == [0, 0, 0]
    assert found.parts[-1].seconds == 0.2
    assert (found.next_msn, found.next_part) == (2, 7)
    assert place_of(found.hint) == Place(7, 2, 7)
    assert found.init == "v0/7/init.mp4"
    assert (found.part_target_s, found.hold_back_s, found.ended) == (0.2, 0.6, False)


def test_a_playlist_at_the_end_of_a_segment() -> None:
    found = parse_listing(playlist(seconds=4.0))
    assert (found.next_msn, found.next_part) == (2, 0)
    assert place_of(found.hint) == Place(7, 2, 0)


def test_a_playlist_of_a_stream_that_has_ended() -> None:
    assert parse_listing(playlist(ended=True)).ended


def test_no_playlist_and_no_parts() -> None:
    with pytest.raises(MediaError, match="not a playlist"):
        parse_listing("<html>")
    with pytest.raises(MediaError, match="no parts"):
        parse_listing(playlist(parts=False))
    with pytest.raises(MediaError, match="not a part"):
        place_of("v0/7/2.m4s")


@pytest.mark.parametrize("edge", ["127.0.0.1:8080", "ftp://127.0.0.1", "https://", ""])
def test_an_edge_is_http_or_https(edge: str) -> None:
    with pytest.raises(ConfigError, match="--edge"):
        Player(edge, "media/a/b/v0.m3u8")


class Edge:
    """Answers each path with a list of (status, body), the last again and again; 404 otherwise."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.asked: list[str] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        found = self.answers.get(path, [(404, b"")])
        return found.pop(0) if len(found) > 1 else found[0]


@contextmanager
def serving(edge: Edge) -> Iterator[Edge]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = edge.answer(self.path.removeprefix("/media/a/b/"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        edge.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield edge
        finally:
            server.shutdown()
            thread.join()


HEAD = (
    "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.2\n"
    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6\n#EXT-X-MEDIA-SEQUENCE:4\n"
    '#EXT-X-MAP:URI="v0/7/init.mp4"\n'
)


def listed(*names: str, hint: str = "", end: str = "") -> tuple[int, bytes]:
    """A playlist of one segment in progress."""
    lines = [f'#EXT-X-PART:DURATION=0.2,URI="v0/{name}.m4s",INDEPENDENT=YES\n' for name in names]
    hinted = f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="v0/{hint}.m4s"\n' if hint else ""
    return 200, (HEAD + "".join(lines) + hinted + end).encode()


OLD = [f"7/4.{number}" for number in range(5)]


def edge_with(*parts: str) -> Edge:
    edge = Edge()
    edge.answers = {f"v0/{name}.m4s": [(200, b"part")] for name in (*OLD, *parts)}
    edge.answers["v0.m3u8"] = [listed(*OLD, hint="7/4.5")]
    return edge


def played(edge: Edge, **options: float) -> Player:
    with serving(edge):
        player = Player(edge.url, "media/a/b/v0.m3u8", **options)
        player.play(30)
    return player


def test_it_joins_a_hold_back_before_the_end_and_takes_hinted_parts() -> None:
    edge = edge_with("7/4.5")
    edge.answers["v0.m3u8?_HLS_msn=4&_HLS_part=5"] = [listed(*OLD, "7/4.5", end="#EXT-X-ENDLIST\n")]
    player = played(edge)
    assert player.ended
    assert player.joined == (Place(7, 4, 4), 0.6, 0.2)
    assert player.before == {Place(7, 4, 2), Place(7, 4, 3), Place(7, 4, 4)}
    assert list(player.arrivals) == [*sorted(player.before), Place(7, 4, 5)]
    assert edge.asked.count("v0/7/4.5.m4s") == 1
    assert player.missed == 0


def test_it_follows_the_playlist_into_a_new_epoch() -> None:
    """The hinted part never comes; what does has another epoch and number."""
    edge = edge_with("9/5.0", "9/5.1")
    edge.answers["v0.m3u8?_HLS_msn=4&_HLS_part=5"] = [
        (200, listed(*OLD)[1] + b"#EXTINF:1.0,\nv0/7/4.m4s\n" + _parts("9/5.0", hint="9/5.1"))
    ]
    edge.answers["v0.m3u8?_HLS_msn=5&_HLS_part=1"] = [
        (200, HEAD.encode() + _parts("9/5.0", "9/5.1") + b"#EXT-X-ENDLIST\n")
    ]
    player = played(edge)
    assert [place for place in player.arrivals if place.epoch == 9] == [
        Place(9, 5, 0),
        Place(9, 5, 1),
    ]
    assert edge.asked.count("v0/7/4.5.m4s") == 1, "asked once, refused, not asked again"


def _parts(*names: str, hint: str = "") -> bytes:
    return listed(*names, hint=hint)[1].removeprefix(HEAD.encode())


def test_a_listed_part_that_is_not_there_is_missed_not_asked_for_again() -> None:
    edge = edge_with("7/4.6")
    edge.answers["v0.m3u8?_HLS_msn=4&_HLS_part=5"] = [
        listed(*OLD, "7/4.5", "7/4.6", end="#EXT-X-ENDLIST\n")
    ]
    edge.answers["v0.m3u8"] = [listed(*OLD)]
    player = played(edge)
    assert player.missed == 1
    assert edge.asked.count("v0/7/4.5.m4s") == 1
    assert max(player.arrivals) == Place(7, 4, 6)


def test_an_edge_that_has_nothing_new_ends_it() -> None:
    edge = edge_with()
    with pytest.raises(Unavailable, match="no new part"):
        played(edge, patience_s=0.3)


def test_a_stream_that_the_edge_does_not_know_ends_it() -> None:
    with pytest.raises(Unavailable, match="404"):
        played(Edge(), patience_s=0.3)


def test_an_edge_that_is_away() -> None:
    with serving(Edge()) as edge:
        url = edge.url
    with pytest.raises(Unavailable, match="cannot be played"):
        Player(url, "media/a/b/v0.m3u8").play(1)
