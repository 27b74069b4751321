"""Garbage to HTTP ingest of a live server: a clear error to its sender, nothing to the others.

The corpus is small files of each container, as FFmpeg wrote them; what is sent is those cut
short, with bits flipped, with holes, and bytes that never were a video.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from kit.beside import Beside
from kit.server import Server, serving

pytestmark = pytest.mark.cluster

CORPUS = {
    path.name: path.read_bytes()
    for path in sorted((Path(__file__).parent / "corpus/http").iterdir())
}
DEADLINE_S = 60.0
GROWTH_BYTES = 192 << 20
FEW = settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("http-fuzz")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def beside(server: Server) -> Iterator[None]:
    """A good stream is published all the while; afterwards none of its frames may be missing."""
    good = Beside(server, "fuzz/good-http")
    before = server.rss_bytes
    yield
    print(good.stop_and_count())
    grown = server.rss_bytes - before
    print(f"the server grew by {grown / 1e6:.1f} MB to {server.rss_bytes / 1e6:.1f} MB")
    assert grown < GROWTH_BYTES
    assert server.ready()


def send(server: Server, body: bytes, name: str = "fuzz/bad") -> httpx.Response:
    """PUT a body; the answer must come, and say in one line what is wrong where it refuses."""
    answer = httpx.put(server.ingest_url(name), content=body, timeout=DEADLINE_S)
    assert answer.status_code in (201, 400, 409, 415, 503), answer.status_code
    if answer.status_code != 201:
        assert answer.text.strip()
        assert len(answer.text) < 500
        assert "Traceback" not in answer.text
        assert "internal" not in answer.text
    return answer


@pytest.mark.parametrize("name", CORPUS)
def test_the_whole_file_is_taken(name: str, server: Server) -> None:
    answer = send(server, CORPUS[name], "fuzz/" + name.replace(".", "-"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["packets"] >= 20


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"<html></html>" * 50, bytes(300_000), b"\x47" * 188 * 20, b"#EXTM3U\n" * 40,
     b"\x1aE\xdf\xa3" * 200, b"\0\0\0\x18ftypiso6" + bytes(5000), b"FLV\1\5" + bytes(9000)],
    ids=["nothing", "text", "html", "zeros", "sync-bytes", "playlist", "ebml", "ftyp", "flv"],
)  # fmt: skip
def test_what_is_no_video_is_refused(body: bytes, server: Server) -> None:
    assert send(server, body).status_code == 415


@FEW
@given(st.randoms(use_true_random=False), st.integers(1, 200_000))
def test_random_bytes_are_refused(server: Server, random, size: int) -> None:
    assert send(server, random.randbytes(size)).status_code == 415


@FEW
@given(st.sampled_from(sorted(CORPUS)), st.integers(0, 1 << 16))
def test_cut_short(server: Server, name: str, at: int) -> None:
    body = CORPUS[name]
    send(server, body[: at * len(body) >> 16])


@FEW
@given(
    st.sampled_from(sorted(CORPUS)),
    st.lists(st.tuples(st.booleans(), st.integers(0, (1 << 16) - 1)), min_size=1, max_size=30),
)
def test_flipped_bits(server: Server, name: str, places: list[tuple[bool, int]]) -> None:
    body = bytearray(CORPUS[name])
    for near, place in places:
        bit = place % 32_000 if near else place * len(body) * 8 >> 16
        body[bit // 8 % len(body)] ^= 1 << bit % 8
    send(server, bytes(body))


@FEW
@given(st.sampled_from(sorted(CORPUS)), st.integers(0, 1 << 16), st.integers(0, 1 << 16))
def test_holes(server: Server, name: str, one: int, other: int) -> None:
    body = CORPUS[name]
    start, end = sorted((one * len(body) >> 16, other * len(body) >> 16))
    send(server, body[:start] + body[end:])


def test_a_sender_that_goes_away_in_the_middle(server: Server) -> None:
    """What it had sent is kept and closed; nothing stays behind."""

    class Gone(Exception):
        pass

    def half() -> Iterator[bytes]:
        body = CORPUS["h264-aac.ts"]
        yield body[: len(body) // 2]
        raise Gone

    with pytest.raises(Gone):
        httpx.put(server.ingest_url("fuzz/half"), content=half(), timeout=DEADLINE_S)
    server.wait_idle(publishers=1)
