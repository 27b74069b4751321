"""Playlists as a player follows them, and hls-parser's judgement of them."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import httpx
from hls_stage import Playlist

from example_kit import NODE, NPM

PARSER = Path(__file__).with_name("hls_parser")


class Watcher(threading.Thread):
    """Follows a playlist by blocking reloads, as a player does; keeps every body."""

    def __init__(self, url: str, *, skip: bool = False) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.suffix = "&_HLS_skip=YES" if skip else ""
        self.bodies: list[bytes] = []
        self.moments: list[float] = []
        self.statuses: dict[int, int] = {}
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            query = ""
            while not self.over.is_set():
                answer = client.get(f"{self.url}{query}")
                self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
                if answer.status_code != 200:
                    time.sleep(0.2)
                    query = ""
                    continue
                self.bodies.append(answer.content)
                self.moments.append(time.time())
                msn, part = Playlist(answer.text).next
                query = f"?_HLS_msn={msn}&_HLS_part={part}{self.suffix}"

    def playlists(self) -> list[Playlist]:
        return [Playlist(body.decode()) for body in self.bodies]


def check_parser(playlists: list[tuple[str, str]]) -> tuple[int, list[dict[str, str]]]:
    """How many hls-parser (strict mode) read, and which it refused."""
    if not (PARSER / "node_modules" / "hls-parser").is_dir():
        subprocess.run(
            [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=PARSER,
            check=True,
            capture_output=True,
            timeout=120,
        )
    given = json.dumps([{"name": name, "text": text} for name, text in playlists])
    done = subprocess.run(
        [NODE, "check.mjs"], cwd=PARSER, input=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["parsed"], found["failures"]
