"""Any log means the same to kinolog and to the examples' readers, in Python and in JavaScript."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from example_kit import EXAMPLES, NODE
from kinolog.core.errors import WireError
from kinolog.record.control import SessionEntry, decode_index
from kinolog.record.header import decode_header
from kinolog.record.log_record import LogRecord
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, Hole, Opened
from kinolog.timeline.reader import StreamReader

sys.path.insert(0, str(EXAMPLES))
import stream_rules as example

Row = tuple[Any, ...]
Record = tuple[dict[str, Any], bytes]

TRACK = {"name": "v", "kind": "video", "codec": "avc1.64001f", "timescale": 90000, "init": "YQ=="}
OPEN = {"session": "s", "publisher": "p", "software": "k", "target_ms": 2000, "part_ms": 200}
OPENS = [
    json.dumps(OPEN | {"tracks": [TRACK, TRACK | {"name": "a", "kind": "audio"}]}).encode(),
    json.dumps(OPEN | {"tracks": [TRACK]}).encode(),
    json.dumps(OPEN).encode(),
    json.dumps(OPEN | {"tracks": [{"name": "v"}]}).encode(),
    json.dumps(OPEN | {"tracks": [TRACK | {"init": "?"}]}).encode(),
    json.dumps(OPEN | {"tracks": [TRACK | {"timescale": 0}]}).encode(),
    json.dumps(OPEN | {"tracks": [TRACK], "part_ms": 0}).encode(),
    *(
        json.dumps(OPEN | {"tracks": [TRACK]} | change).encode()
        for change in (
            {"session": 5},
            {"software": None},
            {"target_ms": 2000.5},
            {"target_ms": True},
            {"profile": "ultra"},
            {"profile": "frame", "parts": False, "end_grace_ms": 0, "later": None},
            {"parts": 1},
            {"end_grace_ms": "60"},
            {"tracks": {}},
            {"tracks": ["v"]},
        )
    ),
    *(
        json.dumps(OPEN | {"tracks": [TRACK | change]}).encode()
        for change in (
            {"kind": "text"},
            {"name": None},
            {"timescale": "90000"},
            {"width": "320"},
            {"frame_rate": 25},
            {"frame_rate": 29.97, "language": "eng", "later": 1},
            {"frame_rate": False},
            {"channels": 1.5},
            {"silence": True},
            {"silence": 1},
        )
    ),
    b"{",
    b"[]",
    b"",
]
CLOSES = [
    b"",
    b"{}",
    b'{"reason":"done","later":1}',
    b"{",
    b"[]",
    b'"done"',
    b'{"reason":5}',
    b"null",
]
MAX_WALL_MS = 253_402_300_799_999
ODD: list[dict[str, Any]] = [
    {"wall": MAX_WALL_MS},
    {"wall": MAX_WALL_MS + 1},
    {"wall": -1},
    {"wall": None},
    {"dur": 1.5},
    {"dur": "9000"},
    {"dur": False},
    {"dts": -1},
    {"ends": "whatever"},
    {"ends": None},
    {"ind": True},
    {"ind": "no"},
    {"ind": 0},
    {"track": 1},
    {"disc": [1]},
    {"epoch": "2"},
    {"epoch": 2.5},
    {"kind": ["chunk"]},
    {"v": True},
    {"later": {"x": 1}},
]
START = json.dumps(
    {"entry": "session", "epoch": 2, "disc": 0, "open_offset": -5, "wall": 0}
    | {"open": json.loads(OPENS[0])}
)


def random_log(draw: random.Random) -> list[Record]:
    """A log of few numbers, so that they meet: repeats, holes, zombies, void opens, nonsense."""
    log: list[Record] = [({"v": 1, "kind": "open", "epoch": 1}, OPENS[draw.randrange(2)])]
    for _ in range(draw.randrange(40)):
        kind = draw.choice(["chunk"] * 12 + ["open", "close", "end", "gap", "fence", "later"])
        header: dict[str, Any] = {"v": draw.choice([1] * 20 + [2]), "kind": kind}
        header["epoch"] = draw.choice([1, 2, 2, 3])
        value = draw.choice(CLOSES)
        if kind == "open":
            value = draw.choice([*OPENS[:2] * 8, *OPENS])
        elif kind == "chunk":
            value = draw.choice([b"one", b"two"])
            header["track"] = draw.choice("vvvax")
            header["msn"], header["chunk"] = draw.randrange(3), draw.randrange(3)
            header["pieces"] = draw.choice([0, 1, 1, 1, 2, 3, 129])
            header["piece"] = draw.choice([0, 0, 0, 1, 2, -1])
            header["part"] = draw.choice([0, 0, 1, 1, -1])
            header["ends"] = draw.choice(["", "", "part", "segment"])
        if draw.random() < 0.2:
            header |= draw.choice(ODD)
        log.append((header, value))
    return log


# Node takes all of them at once, and both examples the same.
LOGS = [(random_log(random.Random(seed)), bool(seed % 2)) for seed in range(1000)]


def of_kinolog(records: Iterable[Record], *, middle: bool) -> list[Row]:
    """By the reader that kinolog has."""
    reader = StreamReader()
    events: list[Event] = []
    if middle:
        entry = decode_index(START.encode())
        assert isinstance(entry, SessionEntry)
        events += reader.start(entry)
    for offset, (header, value) in enumerate(records):
        try:
            decoded = decode_header(json.dumps(header).encode())
        except WireError:
            continue
        events += reader.feed(LogRecord(offset, 0, "k", decoded, value))
    return [row for row in map(_row, events) if row]


def _row(event: Event) -> Row:
    match event:
        case Opened() | Closed() | Ended():
            return (type(event).__name__, event.epoch)
        case Hole():
            return ("Hole", event.epoch, event.track, event.msn)
        case ChunkEvent(header=h):
            return ("Chunk", h.epoch, h.track, h.msn, h.part, h.chunk, event.payload)
    return ()


NAMES = {"open": "Opened", "close": "Closed", "end": "Ended", "hole": "Hole", "chunk": "Chunk"}


def _example_row(event: dict[str, Any]) -> Row:
    """The like of an example's event."""
    name = NAMES[event["event"]]
    if name == "Hole":
        return (name, event["epoch"], event["track"], event["msn"])
    if name == "Chunk":
        h = event["header"]
        return (
            name,
            *(h[key] for key in ("epoch", "track", "msn", "part", "chunk")),
            event["data"],
        )
    return (name, event["epoch"])


def of_python(records: Iterable[Record], *, middle: bool) -> list[Row]:
    """By the rule of the kafka-python example."""
    stream = example.Stream()
    events: list[dict[str, Any]] = []
    if middle:
        entry = json.loads(START)
        events.append(stream.open(entry["epoch"], entry["open"], synced=False))
    for header, value in records:
        read = example.read_header([("kinolog", json.dumps(header).encode())])
        if read is not None:
            events += example.understood(stream, read, value)
    return [_example_row(event) for event in events]


def test_the_python_example_reads_any_log_as_kinolog_does() -> None:
    for log, middle in LOGS:
        assert of_python(log, middle=middle) == of_kinolog(log, middle=middle), (log, middle)


SCRIPT = """
const { Stream, readHeader } = await import(process.argv[1])
const { start, logs } = JSON.parse(await new Response(process.stdin).text())
console.log(JSON.stringify(logs.map(({ records, middle }) => {
  const stream = new Stream()
  const events = middle ? [stream.open(start.epoch, start.open, false)] : []
  for (const [header, value] of records) {
    const read = readHeader(Buffer.from(JSON.stringify(header)))
    if (read) events.push(...stream.feed(read, Buffer.from(value, 'base64')))
  }
  return events.map((event) => ({ ...event, data: event.data?.toString('base64') }))
})))
"""


def test_the_javascript_example_reads_any_log_as_kinolog_does() -> None:
    job = {
        "start": json.loads(START),
        "logs": [
            {"records": [(h, base64.b64encode(v).decode()) for h, v in log], "middle": middle}
            for log, middle in LOGS
        ],
    }
    rules = (EXAMPLES / "read_kafkajs" / "rules.js").as_uri()
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", SCRIPT, rules],
        input=json.dumps(job).encode(),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    results = json.loads(done.stdout)
    assert len(results) == len(LOGS)
    kinds = set()
    for (log, middle), events in zip(LOGS, results, strict=True):
        for event in events:
            if event.get("data") is not None:
                event["data"] = base64.b64decode(event["data"])
        rows = [_example_row(event) for event in events]
        assert rows == of_kinolog(log, middle=middle), (log, middle)
        kinds |= {row[0] for row in rows}
    assert kinds == set(NAMES.values())
