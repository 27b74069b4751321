"""Players' side: playlists over HTTP, and packets counted by ffprobe."""

from __future__ import annotations

import httpx

from kit.server import Server, run_well, wait_for


def playlist(server: Server, stream: str, name: str = "index") -> str:
    """The text of a playlist."""
    answer = httpx.get(f"{server.http}/media/{stream}/{name}.m3u8", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def first_media(server: Server, stream: str) -> str:
    """The name of a media playlist that the multivariant playlist leads to."""
    lines = playlist(server, stream).splitlines()
    return next(line for line in lines if line and not line.startswith("#")).removesuffix(".m3u8")


def wait_ended(server: Server, stream: str) -> None:
    """Wait for ENDLIST."""
    name = first_media(server, stream)
    wait_for(lambda: "#EXT-X-ENDLIST" in playlist(server, stream, name), f"the end of {stream}")


def played_packets(url: str, kind: str) -> int:
    """How many packets of a kind ffprobe reads from a playlist that has ended."""
    found = run_well(
        [
            "ffprobe", "-loglevel", "error", "-live_start_index", "0", "-select_streams", kind[0],
            "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", url,
        ]
    )  # fmt: skip
    return int(found.split()[0].strip(","))
