"""The golden log gives the expected output, and its files are those of their generator."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from kinolog.core.errors import WireError
from kinolog.record.control import SessionEntry, decode_index
from kinolog.record.header import decode_header
from kinolog.record.log_record import LogRecord
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, Hole, Opened
from kinolog.timeline.reader import StreamReader

GOLDEN = Path(__file__).parents[2] / "golden"


def records(key: str = "camera") -> list[LogRecord]:
    found = []
    for line in (GOLDEN / "golden_log.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["key"] != key:
            continue
        try:
            header = decode_header(json.dumps(row["header"]).encode())
        except WireError:
            continue
        value = base64.b64decode(row["value"])
        found.append(LogRecord(row["offset"], row["timestamp"], key, header, value))
    return found


def read(start: SessionEntry) -> tuple[list[Event], StreamReader]:
    reader = StreamReader()
    events = list(reader.start(start))
    for record in records():
        events += reader.feed(record)
    return events, reader


def seen(events: list[Event]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {k: [] for k in ("opened", "closed", "ended", "holes", "chunks")}
    for event in events:
        match event:
            case Opened():
                out["opened"].append(event.epoch)
            case Closed():
                out["closed"].append(event.epoch)
            case Ended():
                out["ended"].append(event.epoch)
            case Hole():
                out["holes"].append([event.epoch, event.track, event.msn])
            case ChunkEvent(header=h, payload=payload):
                digest = hashlib.sha256(payload).hexdigest()
                out["chunks"].append([h.epoch, h.track, h.msn, h.part, h.chunk, digest])
    return out


def start_entry() -> SessionEntry:
    entry = decode_index((GOLDEN / "golden_start.json").read_bytes())
    assert isinstance(entry, SessionEntry)
    return entry


def test_the_golden_log_gives_the_expected_output() -> None:
    events, reader = read(start_entry())
    assert seen(events) == json.loads((GOLDEN / "golden_expected.json").read_text())
    ignored = reader.ignored
    # Each way of being ignored is in it.
    assert all(getattr(ignored, name) > 0 for name in ignored.__struct_fields__), ignored


def test_the_golden_files_are_their_generators() -> None:
    path = GOLDEN / "make_golden_log.py"
    spec = importlib.util.spec_from_file_location("make_golden_log", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.files().items():
        assert (GOLDEN / name).read_text() == text, name
