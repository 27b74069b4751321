"""What the fail-over tests share: kinolog's roles as processes, a player, and the read-back."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from kinolog.cluster import Cluster
from kinolog.cluster.ports import free_port
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import AckLine, read_ack_log
from kinolog.log.client import KafkaSettings
from kinolog.log.partitioner import murmur2_partition
from kinolog.record.control import Gap
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import CollectionEntry, StreamEntry
from kinolog.record.topics import DEFAULT_PREFIX, topic
from kinolog.runtime.roles import Backend, backend
from kinolog.testing import FrameSeen, read_block_codes
from kinolog.timeline.events import ChunkEvent, GapEvent, Hole, Opened
from kinolog.timeline.places import join_places
from kinolog.timeline.reader import Ignored, StreamReader

HOST = "127.0.0.1"
PARTITIONS = 6
_KINOLOG = str(Path(sys.executable).with_name("kinolog"))


def wait_for(what: str, condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Poll a condition until it holds; its value. AssertionError after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.05)
    return found


class Program:
    """A child process with its output in a file."""

    def __init__(self, log: Path, *command: str) -> None:
        self.log = log
        self._file = log.open("ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._file, stderr=self._file
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, also of a stopped process."""
        if self.running:
            self.process.kill()
        self.process.wait(10)
        self._file.close()

    def ended_well(self, timeout_s: float) -> None:
        """Wait for its end; AssertionError with its output where it failed."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not done in {timeout_s:g} s:\n{self.output()}") from None
        assert code == 0, self.output()


class Roles:
    """Starts kinolog's roles against one cluster, and ends them all."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self._stack = ExitStack()
        self._count = 0

    def __enter__(self) -> Roles:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, name: str, *command: str) -> Program:
        """Any program, killed at the end of the test at the latest."""
        self._count += 1
        program = Program(self.folder / f"{self._count}-{name}.log", *command)
        self._stack.callback(program.kill)
        return program

    def kinolog(self, verb: str, *arguments: object) -> Program:
        return self.run(verb, *self.command(verb, *arguments))

    def command(self, *arguments: object) -> list[str]:
        """kinolog's command line, with this cluster."""
        words = [str(argument) for argument in arguments]
        return [_KINOLOG, *words, "--bootstrap-servers", self.bootstrap]

    def edge(self) -> tuple[Program, str]:
        """An edge that answers; its process and base URL."""
        port = free_port()
        return self._ready(self.kinolog("edge", "--http-port", port), port)

    def edges(self, count: int) -> list[str]:
        """Base URLs of edges that start at the same time."""
        ports = [free_port() for _ in range(count)]
        started = [(self.kinolog("edge", "--http-port", port), port) for port in ports]
        return [self._ready(program, port)[1] for program, port in started]

    def ingest(self, rtmp_port: int, ack_log: Path) -> tuple[Program, str]:
        port = free_port()
        program = self.kinolog(
            "ingest", "--http-port", port, "--rtmp-port", rtmp_port, "--ack-log", ack_log
        )
        return self._ready(program, port)

    def _ready(self, program: Program, port: int) -> tuple[Program, str]:
        url = f"http://{HOST}:{port}"

        def answers() -> bool:
            assert program.running, program.output()
            with suppress(httpx.TransportError):
                return httpx.get(f"{url}/ready", timeout=2).status_code == 200
            return False

        wait_for(f"{url}/ready", answers, 40)
        return program, url


class AckWatch(threading.Thread):
    """Notes when the ack log grows: the moments at which Kafka acknowledged something."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.at: list[tuple[float, int]] = []
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopping.wait(0.005):
            size = self.path.stat().st_size if self.path.exists() else 0
            if size and (not self.at or size > self.at[-1][1]):
                self.at.append((time.monotonic(), size))

    def close(self) -> None:
        self._stopping.set()
        self.join(5)

    def seconds_of(self) -> list[float]:
        return [moment for moment, _ in self.at]


def longest_gap(moments: Sequence[float]) -> float:
    """The longest time between two successive moments, in seconds."""
    return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


# --- brokers ---


def leader_of(cluster: Cluster, topic_name: str, partition: int) -> int:
    """The partition's leader as a living broker tells."""
    for found in cluster.partitions():
        if (found.topic, found.number) == (topic_name, partition):
            return found.leader
    raise AssertionError(f"no partition {topic_name}/{partition}")


def active_controller(cluster: Cluster) -> int:
    """The leader of the metadata quorum: Kafka's DescribeQuorum request, version 0, by hand."""
    name = b"__cluster_metadata"
    head = struct.pack(">hhih", 55, 0, 1, -1) + b"\0"
    body = b"\2" + bytes([len(name) + 1]) + name + b"\2" + struct.pack(">i", 0) + b"\0\0\0"
    for broker in cluster.status():
        if broker.state != "running":
            continue
        with suppress(OSError), socket.create_connection((HOST, broker.port), 3) as connection:
            connection.settimeout(3)
            connection.sendall(struct.pack(">i", len(head + body)) + head + body)
            (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
            answer = connection.recv(size, socket.MSG_WAITALL)
            at = answer.index(name) + len(name) + 1 + 4 + 2  # partitions, number, error
            return int(struct.unpack_from(">i", answer, at)[0])
    raise AssertionError("no broker tells who the controller is")


def name_led_by(cluster: Cluster, collection: str, wanted: Callable[[int], bool]) -> StreamName:
    """A stream name that strategy `stream` places in a partition with such a leader."""
    media = topic(f"kinolog.{collection}", "media")
    for number in range(200):
        name = f"cam{number}"
        if wanted(leader_of(cluster, media, murmur2_partition(name, PARTITIONS))):
            return StreamName(collection, name)
    raise AssertionError("no partition has such a leader")


# --- the log, read back ---


@dataclass
class ReadBack:
    """What a reader of the log makes of a stream."""

    chunks: list[ChunkEvent] = field(default_factory=list)
    opens: list[Opened] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    ignored: Ignored = field(default_factory=Ignored)

    def of(self, track: str) -> list[ChunkEvent]:
        return [chunk for chunk in self.chunks if chunk.header.track == track]

    def codes(self, track: str = "video") -> list[FrameSeen]:
        """The block codes of the decoded pictures. All epochs have the same init segment."""
        inits = {t.init for opened in self.opens for t in opened.open.tracks if t.name == track}
        assert len(inits) == 1, "the init segment changed"
        return decode([inits.pop(), *(chunk.payload for chunk in self.of(track))])


def decode(pieces: Sequence[bytes]) -> list[FrameSeen]:
    return read_block_codes(io.BytesIO(b"".join(pieces)))


@contextmanager
def kafka_loop() -> Iterator[Callable[[Any], Any]]:
    with asyncio.Runner() as runner:
        yield runner.run


async def read_back(base: Backend, name: StreamName) -> ReadBack:
    """Every valid chunk of a stream in all its placements, by the rule that all readers have."""
    found, reader = ReadBack(), StreamReader()
    for record in await _records(base, name):
        for event in reader.feed(record):
            match event:
                case ChunkEvent():
                    found.chunks.append(event)
                case Opened():
                    found.opens.append(event)
                case Hole():
                    found.holes.append(event)
                case GapEvent():
                    found.gaps.append(event.gap)
    found.ignored = reader.ignored
    return found


async def _records(base: Backend, name: StreamName) -> list[LogRecord]:
    entry = base.catalog.registry.streams[name]
    places = {(topic(p.base, "media"), p.partition) for p in entry.placements}
    runs = {}
    for place in places:
        low, end = await base.reader.bounds(*place)
        runs[place] = await base.reader.read(*place, low, end, name.name)
    return [record for _, record in join_places(runs)]


def stream_of(bootstrap: str, name: StreamName, prefix: str = DEFAULT_PREFIX) -> ReadBack:
    """`read_back` by a process of its own connections."""

    async def work() -> ReadBack:
        async with backend(KafkaSettings(bootstrap, prefix=prefix)) as base:
            return await read_back(base, name)

    return asyncio.run(work())


def new_name(base: str) -> str:
    """A collection's name that no other run has used."""
    return f"{base}-{uuid.uuid4().hex[:6]}"


def make_collection(bootstrap: str, name: str, **changes: Any) -> None:
    async def work() -> None:
        async with backend(KafkaSettings(bootstrap)) as base:
            entry = base.catalog.defaults(await base.catalog.replicas())
            wanted = {"partitions": PARTITIONS, "strategy": "stream", "retention_ms": 3_600_000}
            values = {f: getattr(entry, f) for f in entry.__struct_fields__}
            await base.catalog.create(name, CollectionEntry(**{**values, **wanted, **changes}))

    asyncio.run(work())


def stream_entry(bootstrap: str, name: StreamName) -> StreamEntry:
    async def work() -> StreamEntry:
        async with backend(KafkaSettings(bootstrap)) as base:
            return base.catalog.registry.streams[name]

    return asyncio.run(work())


ChunkKey = tuple[int, str, int, int, int, int]


class Verdict(NamedTuple):
    """Acknowledged chunks against those read back."""

    acknowledged: int
    read: int
    lost: list[ChunkKey]
    twice: list[ChunkKey]
    reordered: int

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} chunks acknowledged, {self.read} read back: "
            f"{len(self.lost)} lost, {len(self.twice)} twice, {self.reordered} out of order"
        )


def judge(acks: Sequence[AckLine], found: ReadBack) -> Verdict:
    """Compare the ack log with the log. The order is that of media time in each track."""
    acked = [(a.epoch, a.track, a.msn, a.chunk, a.dts, a.dur) for a in acks]
    read = [
        (h.epoch, h.track, h.msn, h.chunk, h.dts, h.dur) for h in (c.header for c in found.chunks)
    ]
    seen = Counter(read)
    times = Counter((track, dts) for _, track, _, _, dts, _ in read)
    twice = [key for key, count in seen.items() if count > 1]
    twice += [key for key in seen if times[(key[1], key[4])] > 1]
    reordered = 0
    for track in {key[1] for key in read}:
        starts = [key[4] for key in read if key[1] == track]
        reordered += sum(later <= earlier for earlier, later in pairwise(starts))
    return Verdict(len(acked), len(read), [k for k in acked if k not in seen], twice, reordered)


def assert_nothing_lost(acks: Path, found: ReadBack) -> Verdict:
    verdict = judge(read_ack_log(acks), found)
    assert verdict.acknowledged > 0
    assert not verdict.lost, verdict
    assert not verdict.twice, verdict
    assert not verdict.reordered, verdict
    assert not found.holes
    return verdict


def assert_player_has_all(player: Player, found: ReadBack, track: str = "video") -> None:
    """Wait until the player has the log's end; then it has every byte since it began, once."""
    first = player.parts[0].msn
    wanted = b"".join(c.payload for c in found.of(track) if c.header.msn >= first)
    wait_for("the end at the player", lambda: sum(len(p.body) for p in player.parts) >= len(wanted))
    player.close()
    assert b"".join(part.body for part in player.parts) == wanted


def numbers_of(frames: Sequence[FrameSeen]) -> list[int]:
    """The block codes; every picture has one."""
    found = [frame.number for frame in frames]
    assert None not in found, "a picture without a number"
    return [number for number in found if number is not None]


def media_numbers(found: ReadBack, track: str = "video") -> list[int]:
    """The MSNs of a track in log order, each once."""
    numbers: list[int] = []
    for chunk in found.of(track):
        if not numbers or numbers[-1] != chunk.header.msn:
            numbers.append(chunk.header.msn)
    return numbers


# --- a player ---


@dataclass
class Listed:
    """A media segment in a playlist; `uri` is None while it is in progress."""

    msn: int
    map_uri: str
    discontinuity: bool = False
    gap: bool = False
    parts: list[str] = field(default_factory=list)
    uri: str | None = None


_URI = re.compile(r'URI="([^"]+)"')


def parse_playlist(text: str) -> list[Listed]:
    """The segments of a media playlist, the one in progress too."""
    msn, map_uri, found = 0, "", list[Listed]()
    fresh: dict[str, Any] = {}
    current: Listed | None = None

    def here() -> Listed:
        nonlocal current
        if current is None:
            current = Listed(msn + len(found), map_uri, **fresh)
            fresh.clear()
        return current

    for line in text.splitlines():
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-MEDIA-SEQUENCE":
            msn = int(value)
        elif tag == "#EXT-X-MAP":
            map_uri = _uri(value)
        elif tag == "#EXT-X-DISCONTINUITY":
            fresh["discontinuity"] = True
        elif tag == "#EXT-X-GAP":
            fresh["gap"] = True
        elif tag == "#EXT-X-PART":
            here().parts.append(_uri(value))
        elif line and not line.startswith("#"):
            here().uri = line
            found.append(here())
            current = None
    if current is not None:
        found.append(current)
    return found


def _uri(value: str) -> str:
    match = _URI.search(value)
    assert match is not None, value
    return match[1]


class Part(NamedTuple):
    """A part as it came to the player."""

    at: float
    msn: int
    number: int
    map_uri: str
    discontinuity: bool
    body: bytes


class Player(threading.Thread):
    """A small LL-HLS client: blocking reloads of one track, every part fetched once, in order.

    What fails is asked again, of the next of `urls` (edges that hold the same): a player that
    never reloads its page. `parts` and `problems` grow while it runs.
    """

    def __init__(self, urls: Sequence[str], name: StreamName, track: str = "video") -> None:
        super().__init__(daemon=True)
        self._name = name
        self._bases: list[str] = []
        self.bases_of(urls)
        self._track = track
        self._client = httpx.Client(timeout=10)
        self._stopping = threading.Event()
        self._next: tuple[int, int] | None = None
        self.parts: list[Part] = []
        self.problems: list[str] = []
        self.playlists = 0
        self.inits: dict[str, bytes] = {}
        self.start()

    def bases_of(self, urls: Sequence[str]) -> None:
        """Ask these edges from now on, the first as long as it answers."""
        self._bases = [f"{url}/media/{self._name.collection}/{self._name.name}/" for url in urls]

    def close(self) -> None:
        self._stopping.set()
        self.join(15)
        self._client.close()

    def run(self) -> None:
        while not self._stopping.is_set():
            query = ""
            if self._next is not None:
                query = f"?_HLS_msn={self._next[0]}&_HLS_part={self._next[1]}"
            text = self._get(f"{self._track}.m3u8{query}")
            if text is None:
                self._stopping.wait(0.1)
                continue
            self.playlists += 1
            listed = parse_playlist(text.decode())
            if self._next is None and listed:
                newest = next((item for item in reversed(listed) if item.parts), listed[-1])
                self._next = (newest.msn, 0)
            for item in listed:
                self._take(item)

    def media(self) -> list[bytes]:
        """Init segment and every part: what a decoder gets."""
        inits = set(self.inits.values())
        assert len(inits) == 1, "the init segment changed"
        return [inits.pop(), *(part.body for part in self.parts)]

    def discontinuities(self) -> list[int]:
        """MSNs at which a discontinuity begins."""
        return [part.msn for part in self.parts if part.discontinuity and part.number == 0]

    def moments(self) -> list[float]:
        return [part.at for part in self.parts]

    def _take(self, item: Listed) -> None:
        assert self._next is not None
        if item.msn != self._next[0]:
            return
        if item.map_uri not in self.inits:
            init = self._get(item.map_uri)
            if init is None:
                return
            self.inits[item.map_uri] = init
        while not self._stopping.is_set():
            number = self._next[1]
            if number < len(item.parts):
                uri = item.parts[number]
            elif item.uri is None:
                return
            elif item.parts or item.gap:
                break
            else:  # so far back that parts are listed no more: they have their names still
                uri = f"{item.uri.removesuffix('.m4s')}.{number}.m4s"
            body = self._get(uri, missing_ends=not item.parts)
            if body is None:
                if item.parts:
                    return
                break
            found = Part(time.monotonic(), item.msn, number, item.map_uri, item.discontinuity, body)
            self.parts.append(found)
            self._next = (item.msn, number + 1)
        self._next = (item.msn + 1, 0)

    def _get(self, path: str, *, missing_ends: bool = False) -> bytes | None:
        base = self._bases[0]
        try:
            answer = self._client.get(base + path)
        except httpx.TransportError as error:
            self.problems.append(f"{path}: {type(error).__name__}")
            self._bases.append(self._bases.pop(0))
            return None
        if answer.status_code == 200:
            return answer.content
        if not (missing_ends and answer.status_code == 404):
            self.problems.append(f"{path}: {answer.status_code} {answer.text[:80]}")
        return None


def same_over(urls: Sequence[str], name: StreamName, path: str, timeout_s: float = 15) -> bytes:
    """One path asked of every edge: the bytes, which must be the same. AssertionError if not."""
    found = {}
    for url in urls:
        answer = httpx.get(f"{url}/media/{name.collection}/{name.name}/{path}", timeout=timeout_s)
        assert answer.status_code == 200, f"{url} {path}: {answer.status_code} {answer.text[:200]}"
        found[url] = answer.content
    bodies = set(found.values())
    assert len(bodies) == 1, f"{path} differs: " + "\n---\n".join(
        body.decode(errors="replace")[-1500:] for body in bodies
    )
    return bodies.pop()


def pause_all(cluster: Cluster) -> None:
    for broker in cluster.broker_ids:
        cluster.pause(broker)


def resume_all(cluster: Cluster) -> None:
    for broker in cluster.broker_ids:
        cluster.resume(broker)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def wait_for_session(urls: Sequence[str], name: StreamName, found: ReadBack) -> None:
    """Until every edge lists the whole of each track's last segment."""
    for url in urls:
        path = f"{url}/media/{name.collection}/{name.name}"
        for track in ("video", "audio"):
            msn = media_numbers(found, track)[-1]
            wait_for(f"{msn} at {url}", lambda p=f"{path}/{track}.m3u8", n=msn: _has(p, n))


def _has(url: str, msn: int) -> bool:
    answer = httpx.get(url, timeout=20)
    if answer.status_code != 200:
        return False
    newest = parse_playlist(answer.text)[-1]
    return newest.msn == msn and newest.uri is not None
