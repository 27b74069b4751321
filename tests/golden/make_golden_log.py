"""Makes the golden log: a log with everything that can go wrong in it, and what must come out.

    python tests/golden/make_golden_log.py

What is expected is written down while the log is composed, not computed by a reader of it.
`tests/golden/README.md` says what is in the files and how to use them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from kinolog.record.control import Gap, Open, SessionEntry, decode_value, encode_value
from kinolog.record.header import Header, encode_header
from kinolog.testing.log_script import (
    AUDIO,
    START_MS,
    VIDEO,
    Item,
    close_item,
    end_item,
    fence_item,
    gap_item,
    open_item,
    session,
    split_item,
)
from kinolog.timeline.reader import MAX_WALL_MS

HERE = Path(__file__).parent
KEY = "camera"
FIRST_OFFSET = 100
AGED_OUT, FIRST, SECOND, THIRD = 1000, 2000, 3000, 4000
V0 = replace(VIDEO, part_frames=5, segment_frames=10, gop_frames=10, frame_bytes=24)
A0 = replace(AUDIO, part_frames=9, segment_frames=18, frame_bytes=12)
TRACKS = (V0, A0)


class Golden:
    """Records as they are appended, and what a reader must make of them."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.chunks: list[tuple[Any, ...]] = []
        self.holes: list[tuple[Any, ...]] = []
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.ended: list[int] = []

    def raw(self, header: dict[str, Any], value: bytes, key: str = KEY) -> None:
        """A record of which nothing must come."""
        wall = header.get("wall", START_MS)
        self.records.append(
            {
                "offset": FIRST_OFFSET + len(self.records),
                "timestamp": wall if wall <= MAX_WALL_MS else START_MS,  # Kafka takes no later one
                "key": key,
                "header": header,
                "value": base64.b64encode(value).decode(),
            }
        )

    def ignored(self, items: Iterable[Item], key: str = KEY) -> None:
        """Records of which nothing must come."""
        for header, value in items:
            self.raw(json.loads(encode_header(header)), value, key)

    def valid(self, items: Iterable[Item]) -> None:
        """Records that count, chunks as a whole."""
        for item in items:
            self.ignored([item])
            self.expect(item)

    def expect(self, item: Item) -> None:
        """This must come out now."""
        header, value = item
        if header.kind == "chunk":
            digest = hashlib.sha256(value).hexdigest()
            row = (header.epoch, header.track, header.msn, header.part, header.chunk, digest)
            self.chunks.append(row)
        else:
            kinds = {"open": self.opened, "close": self.closed, "end": self.ended}
            if header.kind in kinds:
                kinds[header.kind].append(header.epoch)


def compose() -> Golden:
    """The story, in log order."""
    log = Golden()

    # The open of the first session has aged out, and with it the start of a segment of each
    # track. A reader begins from golden_start.json.
    aged = session(epoch=AGED_OUT, first_msn=7, seconds=1.3, tracks=TRACKS, chunk_frames=3)[1:]
    log.opened.append(AGED_OUT)
    begun: set[str] = set()
    for item in aged[3:]:
        if item.header.chunk == 0:
            begun.add(item.header.track)
        if item.header.track in begun:
            log.valid([item])
        else:
            log.ignored([item])
    # Another stream of the same partition, with the same epochs.
    log.ignored(session(epoch=AGED_OUT, seconds=0.5, tracks=TRACKS)[:5], key="other")

    # A second session while the first still writes: from here on that is a zombie.
    first = session(epoch=FIRST, disc=1, first_msn=11, seconds=2.1, tracks=TRACKS)
    late = session(epoch=AGED_OUT, first_msn=10, seconds=0.9, tracks=TRACKS)[1:]
    log.valid(first[:3])
    log.ignored(late[:4])
    log.ignored([close_item(AGED_OUT), end_item(AGED_OUT)])
    log.valid(first[3:6])

    # Void opens: an older epoch, an equal one, one that is not readable; and their chunks.
    void = session(epoch=FIRST - 1, disc=2, first_msn=90, seconds=0.5, tracks=TRACKS)
    log.ignored(void[:3])
    log.ignored([open_item(FIRST, TRACKS, session="the same epoch again")])
    log.ignored([Item(Header(1, "open", FIRST + 1), b"{")])
    log.ignored(session(epoch=FIRST + 1, first_msn=90, seconds=0.5, tracks=TRACKS)[1:3])
    plain = json.loads(open_item(FIRST + 1, TRACKS).value)
    for change in ({"profile": "ultra"}, {"session": 5}, {"parts": "no"}, {"target_ms": 2000.5}):
        log.raw({"v": 1, "kind": "open", "epoch": FIRST + 1}, json.dumps(plain | change).encode())

    # A chunk in pieces, with a record of the other track and a repeat between them.
    pieces = split_item(first[6], -(-len(first[6].value) // 3))
    log.ignored(pieces[:2])
    log.ignored(pieces[:1])
    log.valid(first[7:8])
    log.ignored(pieces[2:])
    log.expect(first[6])

    # Repeats: a whole chunk, its pieces again, an older segment's chunk.
    log.ignored([*pieces, first[7], first[1]])

    # What a later version may add: an unknown kind, an unknown version, an unknown field.
    log.raw({"v": 1, "kind": "marker", "epoch": FIRST}, b"{}")
    log.raw({"v": 2, "kind": "chunk", "epoch": FIRST, "track": "v0", "msn": 12}, b"?")
    extra = json.loads(encode_header(first[8].header)) | {"later": {"x": 1}}
    log.raw(extra, first[8].value)
    log.expect(first[8])
    log.ignored([Item(Header(1, "chunk", FIRST, track="nobody", msn=12), b"?")])

    # Fields that make no sense: of another type, of no known value, a time after the year 9999.
    usual = json.loads(encode_header(first[9].header))
    for change in (
        {"wall": MAX_WALL_MS + 1}, {"dur": 1.5}, {"ends": "whatever"}, {"ind": "no"},
        {"track": None}, {"dts": -1},
    ):  # fmt: skip
        log.raw(usual | change, b"?")
    for value in (b"[]", b'{"reason":5}'):
        log.raw({"v": 1, "kind": "close", "epoch": FIRST}, value)

    # A hole: a chunk in the middle of a segment never came.
    rest = first[9:]
    lost = next(i for i, item in enumerate(rest) if item.header.chunk == 0)
    track, msn = rest[lost].header.track, rest[lost].header.msn
    log.valid(rest[:lost])
    log.holes.append((FIRST, track, msn))
    log.valid(rest[lost + 1 :])
    log.valid([gap_item(FIRST, Gap(track="v0", from_dts=1, to_dts=2, frames=1, reason="test"))])
    log.valid([close_item(FIRST, "done")])
    # Nothing of a closed session counts.
    log.ignored([Item(replace_msn(first[7].header, 40), first[7].value), close_item(FIRST)])

    # A session that is torn in the middle of a chunk, and one that takes over and ends. Between
    # them the stream has moved away and come back: a fence that is older than the session is
    # nothing, behind a newer one nothing of the session counts, though no open has come.
    second = session(epoch=SECOND, disc=2, first_msn=17, seconds=0.8, tracks=TRACKS)
    log.valid(second[:4])
    log.ignored([fence_item(SECOND), fence_item(FIRST)])
    log.valid(second[4:-1])
    log.ignored(split_item(second[-1], 100)[:-1])
    log.ignored([fence_item(SECOND + 1)])
    late = session(epoch=SECOND, disc=2, first_msn=18, seconds=0.8, tracks=TRACKS)[1:]
    log.ignored([*late, close_item(SECOND), end_item(SECOND)])
    nonsense = json.loads(open_item(THIRD - 1, TRACKS).value)
    nonsense["tracks"][0]["timescale"] = 0
    log.ignored([Item(Header(1, "open", THIRD - 1), json.dumps(nonsense).encode())])
    third = session(epoch=THIRD, disc=3, first_msn=20, seconds=0.9, tracks=(V0,), ends=False)
    log.valid([*third, close_item(THIRD), end_item(THIRD)])
    return log


def replace_msn(header: Header, msn: int) -> Header:
    """The header as that of another segment."""
    return msgspec.structs.replace(header, msn=msn, chunk=0)


def lines(rows: Iterable[Any]) -> str:
    """A JSON array with a row a line."""
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


def files() -> dict[str, str]:
    """The golden files' texts by name."""
    log = compose()
    start = SessionEntry(
        AGED_OUT, 0, FIRST_OFFSET - 60, 1_700_000_000_000,
        decode_value(open_item(AGED_OUT, TRACKS).value, Open),
    )  # fmt: skip
    expected = ",\n".join(
        f'"{name}": {lines(rows)}'
        for name, rows in (
            ("opened", log.opened),
            ("closed", log.closed),
            ("ended", log.ended),
            ("holes", log.holes),
            ("chunks", log.chunks),
        )
    )
    return {
        "golden_log.jsonl": "".join(json.dumps(record) + "\n" for record in log.records),
        "golden_start.json": encode_value(start).decode() + "\n",
        "golden_expected.json": "{\n" + expected + "\n}\n",
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
