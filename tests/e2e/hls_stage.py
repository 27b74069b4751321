"""Real edges and publishers as processes of their own, and a reader of media playlists."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import httpx

from kinolog.cluster.ports import free_port

KINOLOG = Path(sys.executable).with_name("kinolog")
PATIENCE_S = 60.0
T = TypeVar("T")


def until(ask: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The first true answer; AssertionError when it does not come in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not in {timeout_s:.0f} s"
        time.sleep(0.1)


@dataclass
class Stage:
    """One Kafka under a topic prefix of its own; processes that end with the `with` block."""

    bootstrap: str
    logs: Path
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    _stack: ExitStack = field(default_factory=ExitStack)
    _started: int = 0

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self, *words: str, program: Sequence[str] = (str(KINOLOG),)
    ) -> subprocess.Popen[bytes]:
        """`kinolog …` against this Kafka; its output is in `logs`."""
        kafka = ["--bootstrap-servers", self.bootstrap, "--topic-prefix", self.prefix]
        self._started += 1
        path = self.logs / f"{self.prefix}-{self._started}-{words[0]}.log"
        output = self._stack.enter_context(path.open("wb"))
        process = subprocess.Popen(
            [*program, *words, *kafka],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.logs,
            env={k: v for k, v in os.environ.items() if not k.startswith("KINOLOG_")},
        )
        self._stack.callback(stop, process)
        return process

    def edge(self, *words: str, tls: bool = False) -> str:
        """Start an edge; its address, once it is ready."""
        port = free_port()
        process = self.start("edge", "--http-port", str(port), *words)
        address = f"{'https' if tls else 'http'}://127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None, "the edge ended; see its log"
            try:
                return httpx.get(f"{address}/ready", verify=False).status_code == 200
            except httpx.TransportError:
                return False

        until(ready, "an edge that is ready")
        return address

    def camera(self, stream: str, query: str = "", *words: str) -> subprocess.Popen[bytes]:
        """Start publishing the synthetic camera."""
        return self.start("publish", f"test:320x180@30?{query}", stream, *words)

    def rest(self, edge: str, state: str) -> None:
        """Wait until all its streams are away, or ended: by another ingest than was published to,
        after the grace that the publisher gave."""
        if state == "ended":
            self.start("ingest", "--http-port", str(free_port()), "--rtmp-port", str(free_port()))
        until(lambda: states(edge) == {state}, f"the streams to be {state}")

    def published(self, stream: str, query: str, *words: str) -> None:
        """Publish the synthetic camera to its end, as fast as it goes."""
        process = self.camera(stream, query, "--fast", *words)
        assert process.wait(PATIENCE_S * 2) == 0

    def film(self, path: Path, stream: str, begun_s: int) -> None:
        """Publish a file to its end, as fast as it goes, as of a time (Unix seconds)."""
        process = self.start("publish", str(path), stream, "--fast", f"--at={begun_s}")
        assert process.wait(PATIENCE_S * 2) == 0


def states(edge: str) -> set[str]:
    """What an edge says of its streams, each once."""
    found = httpx.get(f"{edge}/api/streams").raise_for_status().json()["streams"]
    return {str(one["state"]) for one in found}


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it as a person would; by force where that does not work."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def stage(bootstrap: str, logs: Path) -> Iterator[Stage]:
    with Stage(bootstrap, logs) as found:
        yield found


@dataclass
class Listed:
    """A media segment of a playlist. `parts` are (URI, seconds, independent)."""

    lead: list[str] = field(default_factory=list)
    uri: str = ""
    seconds: float = 0.0
    date: str = ""
    gap: bool = False
    parts: list[tuple[str, float, bool]] = field(default_factory=list)


class Playlist:
    """A media playlist's text, taken apart."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.head: dict[str, str] = {}
        self.segments: list[Listed] = []
        self.hints: list[str] = []
        self.reports: list[str] = []
        self.skipped = 0
        self.ended = False
        current = Listed()
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name == "#EXT-X-PART":
                current.parts.append((uri_of(value), number_of(value), "INDEPENDENT=YES" in value))
            elif name in ("#EXT-X-DISCONTINUITY", "#EXT-X-MAP"):
                assert not current.parts, "what concerns a segment comes before its first part"
                current.lead.append(line)
            elif name == "#EXT-X-PROGRAM-DATE-TIME":
                current.date = value
            elif name == "#EXT-X-GAP":
                current.gap = True
            elif name == "#EXTINF":
                current.seconds = float(value.rstrip(","))
            elif name == "#EXT-X-PRELOAD-HINT":
                self.hints.append(uri_of(value))
            elif name == "#EXT-X-RENDITION-REPORT":
                self.reports.append(value)
            elif name == "#EXT-X-SKIP":
                self.skipped = int(value.partition("=")[2])
            elif name == "#EXT-X-ENDLIST":
                self.ended = True
            elif line.startswith("#"):
                self.head[name] = value
            elif line:
                current.uri = line
                self.segments.append(current)
                current = Listed()
        self.growing = current if current.parts else None
        """The segment in progress, of which parts are listed."""

    @property
    def first_msn(self) -> int:
        return int(self.head["#EXT-X-MEDIA-SEQUENCE"])

    @property
    def last(self) -> tuple[int, int]:
        """(MSN, part) of the newest part."""
        msn = self.first_msn + self.skipped + len(self.segments)
        if self.growing is not None:
            return msn, len(self.growing.parts) - 1
        return msn - 1, max(len(self.segments[-1].parts) - 1, 0)

    @property
    def next(self) -> tuple[int, int]:
        """The position that a player waits for."""
        msn, part = self.last
        return (msn, part + 1) if self.growing is not None else (msn + 1, 0)

    @property
    def end(self) -> datetime:
        """When the newest part ends, by the dates."""
        newest = self.growing or self.segments[-1]
        length_s = newest.seconds or sum(seconds for _, seconds, _ in newest.parts)
        return datetime.fromisoformat(newest.date) + timedelta(seconds=length_s)

    @property
    def target_s(self) -> int:
        return int(self.head["#EXT-X-TARGETDURATION"])

    @property
    def part_target_s(self) -> float:
        return float(self.head["#EXT-X-PART-INF"].partition("=")[2])

    def control(self, name: str) -> float:
        """A number of EXT-X-SERVER-CONTROL."""
        found = re.search(rf"(?:^|,){name}=([\d.]+)", self.head["#EXT-X-SERVER-CONTROL"])
        assert found is not None, f"no {name}"
        return float(found[1])


def uri_of(attributes: str) -> str:
    found = re.search(r'URI="([^"]+)"', attributes)
    assert found is not None, attributes
    return found[1]


def number_of(attributes: str) -> float:
    found = re.search(r"DURATION=([\d.]+)", attributes)
    assert found is not None, attributes
    return float(found[1])


def fetch(client: httpx.Client, url: str) -> Playlist:
    """A media playlist, which must be there."""
    answer = client.get(url)
    assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text}"
    return Playlist(answer.text)
