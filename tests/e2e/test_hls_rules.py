"""The rules of LL-HLS (RFC 8216bis), over HTTP, on two edges that started at different times."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import httpx
import pytest
from hls_stage import Playlist, Stage, fetch, stage, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "hls/rules"
STEPS = 24
EARLY_S = 12


class Variant(NamedTuple):
    """One way to ask for the playlist of a track."""

    track: str
    skip: bool
    zipped: bool


VARIANTS = [Variant("video", s, z) for s in (False, True) for z in (False, True)]
VARIANTS.append(Variant("audio", False, False))
Bodies = dict[tuple[int, int], bytes]


class Live(NamedTuple):
    """Two edges of one live stream, and what each said, by (MSN, part), for each variant."""

    edges: tuple[str, str]
    seen: dict[Variant, tuple[Bodies, Bodies]]

    def url(self, rest: str, edge: int = 0) -> str:
        return f"{self.edges[edge]}/media/{STREAM}/{rest}"

    def playlists(self, track: str = "video") -> list[Playlist]:
        bodies = self.seen[Variant(track, False, False)]
        return [Playlist(body.decode()) for of_edge in bodies for body in of_edge.values()]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("rules")) as found:
        yield found


@pytest.fixture(scope="module")
def live(played: Stage) -> Live:
    """An edge from the start, another that starts when the stream is some time old."""
    played.camera(STREAM)
    first = played.edge()
    url = f"{first}/media/{STREAM}/video.m3u8"
    with httpx.Client(timeout=30) as client:
        until(lambda: client.get(url).status_code == 200, "the first playlist")
        until(lambda: listed_s(fetch(client, url)) > EARLY_S, "some seconds of stream")
    edges = (first, played.edge())
    return Live(edges, asyncio.run(watch(edges)))


def listed_s(playlist: Playlist) -> float:
    return sum(segment.seconds for segment in playlist.segments)


async def watch(edges: tuple[str, str]) -> dict[Variant, tuple[Bodies, Bodies]]:
    """Follow each variant at both edges, step by step, as players do."""
    async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as group:
        tasks = {variant: group.create_task(follow(client, edges, variant)) for variant in VARIANTS}
    return {variant: task.result() for variant, task in tasks.items()}


async def follow(
    client: httpx.AsyncClient, edges: tuple[str, str], variant: Variant
) -> tuple[Bodies, Bodies]:
    urls = [f"{edge}/media/{STREAM}/{variant.track}.m3u8" for edge in edges]
    whole = Playlist((await client.get(urls[0])).text)
    found: tuple[Bodies, Bodies] = ({}, {})
    position = whole.next
    for _ in range(STEPS):
        bodies = await asyncio.gather(*(ask(client, url, variant, position) for url in urls))
        reached = []
        for seen, body in zip(found, bodies, strict=True):
            text = gzip.decompress(body) if variant.zipped else body
            playlist = Playlist(text.decode())
            assert playlist.last >= position
            seen[playlist.last] = body
            reached.append(playlist.next)
        position = min(reached)
    return found


async def ask(
    client: httpx.AsyncClient, url: str, variant: Variant, position: tuple[int, int]
) -> bytes:
    """The body as it came over the wire."""
    query = f"_HLS_msn={position[0]}&_HLS_part={position[1]}"
    query += "&_HLS_skip=YES" if variant.skip else ""
    coding = "gzip" if variant.zipped else "identity"
    headers = {"accept-encoding": coding}
    async with client.stream("GET", f"{url}?{query}", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers.get("content-encoding", "identity") == coding
        return b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_edges_say_the_same_to_the_byte(live: Live, variant: Variant) -> None:
    early, late = live.seen[variant]
    common = early.keys() & late.keys()
    print(f"{variant}: {len(common)} positions at both edges")
    assert len(common) > STEPS / 2
    different = [position for position in common if early[position] != late[position]]
    assert different == []


def test_part_durations(live: Live) -> None:
    for track in ("video", "audio"):
        shares = []
        for playlist in live.playlists(track):
            target_s = playlist.part_target_s
            for segment in playlist.segments:
                durations = [seconds for _, seconds, _ in segment.parts]
                assert all(seconds <= target_s for seconds in durations)
                # The last part of a segment, and a picture's before an independent one, may be
                # short. (All sound is independent, and no shorter for that.)
                for (_, seconds, _), (_, _, independent) in pairwise(segment.parts):
                    if track == "audio" or not independent:
                        shares.append(seconds / target_s)
        print(f"{track}: parts are at least {min(shares):.3f} of PART-TARGET")
        assert min(shares) >= 0.85


def test_hold_backs(live: Live) -> None:
    for playlist in live.playlists():
        assert playlist.control("PART-HOLD-BACK") >= round(3 * playlist.part_target_s, 6)
        assert playlist.control("HOLD-BACK") >= 3 * playlist.target_s
        assert playlist.control("CAN-SKIP-UNTIL") >= 6 * playlist.target_s
        assert "CAN-BLOCK-RELOAD=YES" in playlist.head["#EXT-X-SERVER-CONTROL"]


def test_targets_never_move(live: Live) -> None:
    playlists = live.playlists("video") + live.playlists("audio")
    assert len({(p.target_s, p.part_target_s) for p in playlists}) == 1
    assert all(round(s.seconds) <= p.target_s for p in playlists for s in p.segments)


def test_old_parts_are_dropped(live: Live) -> None:
    for playlist in live.playlists():
        after_s = (
            sum(seconds for _, seconds, _ in playlist.growing.parts) if playlist.growing else 0
        )
        for segment in reversed(playlist.segments):
            assert not segment.parts or after_s <= 3 * playlist.target_s
            after_s += segment.seconds
        assert sum(not segment.parts for segment in playlist.segments) > 0
        assert playlist.segments[-1].parts


def test_one_hint_and_it_is_the_next_part(live: Live) -> None:
    for playlist in live.playlists("video") + live.playlists("audio"):
        assert len(playlist.hints) == 1
        found = re.fullmatch(r"\w+/\d+/(\d+)\.(\d+)\.m4s", playlist.hints[0])
        assert found is not None
        assert (int(found[1]), int(found[2])) == playlist.next


def test_every_segment_has_a_date(live: Live) -> None:
    for playlist in live.playlists("video") + live.playlists("audio"):
        listed = [*playlist.segments, *([playlist.growing] if playlist.growing else [])]
        dates = [datetime.fromisoformat(segment.date) for segment in listed]
        for (before, after), (segment, following) in zip(
            pairwise(dates), pairwise(listed), strict=True
        ):
            # Milliseconds are written; the camera's clock is slewed by at most 1 ms/s.
            assert following.lead or abs((after - before).total_seconds() - segment.seconds) < 0.006


def test_rendition_reports(live: Live) -> None:
    """What a video playlist says of the audio is where the audio was just then, by their dates."""
    ends = {playlist.last: playlist.end for playlist in live.playlists("audio")}
    apart_s = []
    for playlist in live.playlists("video"):
        (report,) = playlist.reports
        found = re.fullmatch(r'URI="audio\.m3u8",LAST-MSN=(\d+),LAST-PART=(\d+)', report)
        assert found is not None
        position = int(found[1]), int(found[2])
        if position in ends:
            apart_s.append(abs((playlist.end - ends[position]).total_seconds()))
    print(f"{len(apart_s)} reports, at most {max(apart_s):.3f} s apart")
    assert len(apart_s) > STEPS / 2
    assert max(apart_s) < 1


def test_delta_updates_leave_out_what_the_whole_has(live: Live) -> None:
    whole, _ = live.seen[Variant("video", False, False)]
    delta, _ = live.seen[Variant("video", True, False)]
    skipped = 0
    for position in whole.keys() & delta.keys():
        long, short = Playlist(whole[position].decode()), Playlist(delta[position].decode())
        skipped = max(skipped, short.skipped)
        uris = [segment.uri for segment in long.segments]
        assert [segment.uri for segment in short.segments] == uris[short.skipped :]
        kept_s = sum(segment.seconds for segment in short.segments)
        assert kept_s >= short.control("CAN-SKIP-UNTIL") or not short.skipped
    print(f"delta updates leave out up to {skipped} segments")


def test_parts_joined_are_the_segment(live: Live) -> None:
    with httpx.Client(timeout=30) as client:
        for track in ("video", "audio"):
            playlist = fetch(client, live.url(f"{track}.m3u8"))
            checked = [segment for segment in playlist.segments if segment.parts]
            assert checked
            for segment in checked:
                joined = b"".join(
                    client.get(live.url(uri, 0)).content for uri, _, _ in segment.parts
                )
                assert client.get(live.url(segment.uri, 1)).content == joined


def test_the_hinted_part_is_waited_for(live: Live) -> None:
    """Asked for before it exists, it comes when it does, the same from both edges."""

    async def race() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            for _ in range(5):
                playlist = Playlist((await client.get(live.url("video.m3u8"))).text)
                hint = playlist.hints[0]
                answers = await asyncio.gather(*(client.get(live.url(hint, e)) for e in (0, 1)))
                assert [answer.status_code for answer in answers] == [200, 200]
                assert answers[0].content == answers[1].content
                msn, part = playlist.next
                query = f"_HLS_msn={msn}&_HLS_part={part}"
                after = Playlist((await client.get(live.url(f"video.m3u8?{query}"))).text)
                listed = {
                    uri
                    for segment in [*after.segments, *([after.growing] if after.growing else [])]
                    for uri, _, _ in segment.parts
                }
                # The part that the hint promised, or, where its segment had ended before it, none.
                assert hint in listed
                again = await client.get(live.url(hint))
                assert again.content == answers[0].content

    asyncio.run(race())


def test_a_part_past_its_segments_end_is_the_next_segments_first(live: Live) -> None:
    with httpx.Client(timeout=30) as client:
        for edge in (0, 1):
            playlist = fetch(client, live.url("video.m3u8", edge))
            newest = playlist.segments[-1]
            msn = playlist.first_msn + len(playlist.segments) - 1
            past_end = len(newest.parts)
            query = f"_HLS_msn={msn}&_HLS_part={past_end}"
            assert fetch(client, live.url(f"video.m3u8?{query}", edge)).last >= (msn + 1, 0)
            msn, _ = playlist.next
            query = f"_HLS_msn={msn}&_HLS_part={past_end}"
            assert fetch(client, live.url(f"video.m3u8?{query}", edge)).last >= (msn + 1, 0)


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=0",
        "_HLS_msn=",
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn=1e3",
        "_HLS_msn=99999999999999999999",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=5&_HLS_part=x",
        "_HLS_skip=NO",
        "_HLS_msn={ahead}",
        "_HLS_msn={next}&_HLS_part=500",
    ],
)
def test_wrong_directives_are_refused(live: Live, query: str) -> None:
    with httpx.Client(timeout=30) as client:
        for edge in (0, 1):
            msn, _ = fetch(client, live.url("video.m3u8", edge)).last
            # One segment may end between the two requests.
            asked = query.format(ahead=msn + 4, next=msn + 2)
            answer = client.get(live.url(f"video.m3u8?{asked}", edge))
            assert answer.status_code == 400
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cache-control"] == "no-store"


def test_two_segments_ahead_is_waited_for(live: Live) -> None:
    with httpx.Client(timeout=30) as client:
        msn, _ = fetch(client, live.url("video.m3u8")).last
        answer = fetch(client, live.url(f"video.m3u8?_HLS_msn={msn + 2}&CMCD=bl%3D3200&token=x"))
        assert answer.first_msn + len(answer.segments) > msn + 2
