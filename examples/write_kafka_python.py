"""Publishes the H.264 track of an MP4 file with kafka-python alone, by docs/wire-format.md.

    pip install 'kafka-python[zstd]>=3' av
    kinolog collections create demo
    python write_kafka_python.py film.mp4 demo/film

PyAV takes the file apart and makes the init segment; what is written to Kafka, and in which order,
is all here. Reading back is the work of read_kafka_python.py beside this file.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import struct
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, pairwise
from typing import Any, NamedTuple

import av
from kafka import KafkaProducer

from read_kafka_python import events, read_registry
from stream_rules import Json

MSN_STEP = 10_000  # media sequence numbers set aside at a time
MOST_UNACKNOWLEDGED = 500  # records
MAX_PIECE_BYTES = 900_000


class Sample(NamedTuple):
    """An access unit; times in ticks of the file's timescale."""

    dts: int
    pts: int
    duration: int
    sync: bool
    data: bytes


class Chunk(NamedTuple):
    """Samples for one record, and its numbers; `segment` counts from 0."""

    segment: int
    part: int
    chunk: int
    ends: str
    samples: list[Sample]


class Writer:
    """Writes to one stream: its registry entry, its session, its chunks."""

    def __init__(self, servers: str, prefix: str, stream: str) -> None:
        self.servers, self.prefix, self.stream = servers, prefix, stream
        self.key = stream.split("/")[1].encode()
        self.session = uuid.uuid4().hex[:16]
        self.epoch = self.disc = self.first_msn = 0
        self.pending: deque[Any] = deque()
        self.producer = KafkaProducer(bootstrap_servers=servers.split(","), acks="all")

    def change(self, key: str, change: Callable[[Json | None], Json]) -> Json:
        """Compare-and-set of a registry entry. Beginning a transaction under the key's name fences
        every other writer of that key: what is read now cannot change before the commit."""
        topic = f"{self.prefix}.registry"
        producer = KafkaProducer(
            bootstrap_servers=self.servers.split(","), transactional_id=f"{topic}.{key}"
        )
        with closing(producer):
            producer.init_transactions()
            before = read_registry(self.servers, self.prefix).get(key)
            after = change(before)
            if after != before:
                producer.begin_transaction()
                producer.send(topic, json.dumps(after).encode(), key.encode(), partition=0)
                producer.commit_transaction()
        return after

    def place(self) -> tuple[Json, bool]:
        """The stream's entry, placed in the emptiest partition where it is new; is it new?"""
        registry = read_registry(self.servers, self.prefix)
        name = self.stream.split("/")[0]
        if name not in registry:
            raise SystemExit(f"make the collection first: kinolog collections create {name}")
        collection, base = registry[name], f"{self.prefix}.{name}"
        if collection.get("strategy", "balanced") != "balanced" and self.stream not in registry:
            raise SystemExit("only `balanced` streams are placed here: publish with kinolog first")
        load = Counter(dict.fromkeys(range(collection["partitions"]), 0))
        for key, entry in registry.items():
            if key.startswith(f"{name}/") and key.count("/") == 1:
                load[entry["placements"][-1]["partition"]] += 1
        now = unix_ms()
        partition = load.most_common()[-1][0]
        fresh = {
            "placements": [{"base": base, "partition": partition, "from_epoch": now}],
            "target_ms": collection.get("target_ms", 2000),
            "part_ms": collection.get("part_ms", 200),
            "msn_floor": MSN_STEP,
            "created_ms": now,
        }
        entry = self.change(self.stream, lambda found: found or fresh)
        return entry, entry is fresh

    def open(self, entry: Json, new: bool, value: Json) -> None:
        """Open an epoch: the open record, the log read up to it, the index entry acknowledged."""
        self.entry = entry
        place = entry["placements"][-1]
        self.media, self.index = f"{place['base']}.media", f"{place['base']}.index"
        self.partition = place["partition"]
        registry = read_registry(self.servers, self.prefix)
        epochs = [e for key, e in registry.items() if key.startswith(f"{self.stream}/")]
        known = max(epochs, key=lambda one: int(one["epoch"]), default=None)
        here = known and (known["base"], known["partition"]) == (place["base"], self.partition)
        # From the newest session that the registry knows; else all that is kept. (kinolog itself
        # reads the index from its end: cheaper after a long session.)
        start = known["open_offset"] if known and here else None
        newest, whose = (known["epoch"] if known else place.get("from_epoch", 0) - 1), ""
        while whose != self.session:  # else it was void, or somebody's is newer already: again
            self.epoch = max(newest + 1, unix_ms())
            sent = self.send(self.media, {"kind": "open"}, json.dumps(value).encode(), self.epoch)
            offset = sent.get(timeout=30).offset
            newest, disc, next_msn = 0, -1, 0
            for event in events(self.servers, self.prefix, self.stream, start):
                if event["event"] == "open":
                    newest, whose = event["epoch"], event["open"]["session"]
                    told = registry.get(f"{self.stream}/{newest}")
                    disc = told["disc"] if told else disc + 1
                elif event["event"] == "chunk":
                    disc = event["header"]["disc"]
                    if event["header"]["track"] == "video":
                        next_msn = max(next_msn, event["header"]["msn"] + 1)
        # After a move: what an older session still writes in the former place is void.
        former = [*entry["placements"][-2:-1], *([known] if known else [])]
        for base, partition in {(one["base"], one["partition"]) for one in former}:
            if not here and (base, partition) != (place["base"], self.partition):
                self.send(f"{base}.media", {"kind": "fence"}, b"", unix_ms(), partition).get(30)
        self.disc = disc
        self.first_msn = next_msn or (0 if new else entry.get("msn_floor", 0))
        session = {"epoch": self.epoch, "disc": disc, "open_offset": offset, "wall": self.epoch}
        self.session_entry = session | {"open": value}
        body = json.dumps({"entry": "session"} | self.session_entry).encode()
        self.send(self.index, None, body, self.epoch).get(timeout=30)
        self.tell("live")

    def tell(self, state: str) -> None:
        """Tell the registry how the session stands, for lists of streams: the log decides."""
        place = {"base": self.media.removesuffix(".media"), "partition": self.partition}
        entry = self.session_entry | place | {"state": state}
        self.change(f"{self.stream}/{self.epoch}", lambda _: entry)

    def write(self, chunk: Chunk, data: bytes, wall: int) -> None:
        """A chunk, in pieces where it is large. Raises once Kafka has refused one before it."""
        msn = self.first_msn + chunk.segment
        if msn >= self.entry.get("msn_floor", 0):
            raised = {"msn_floor": msn + MSN_STEP}
            self.entry = self.change(self.stream, lambda found: (found or self.entry) | raised)
        first, last = chunk.samples[0], chunk.samples[-1]
        header = {"kind": "chunk", "track": "video", "disc": self.disc, "msn": msn}
        header |= {"part": chunk.part, "chunk": chunk.chunk, "ends": chunk.ends, "ind": first.sync}
        header |= {"dts": first.dts, "dur": last.dts + last.duration - first.dts, "wall": wall}
        pieces = [data[at : at + MAX_PIECE_BYTES] for at in range(0, len(data), MAX_PIECE_BYTES)]
        for piece, value in enumerate(pieces):
            numbers = {"piece": piece, "pieces": len(pieces)}
            self.pending.append(self.send(self.media, header | numbers, value, wall))
        while len(self.pending) > MOST_UNACKNOWLEDGED or (self.pending and self.pending[0].is_done):
            self.pending.popleft().get(timeout=60)

    def close(self, *, end: bool) -> None:
        """All acknowledged, then the close; and the end, where it is known that nobody comes."""
        while self.pending:
            self.pending.popleft().get(timeout=60)
        self.send(self.media, {"kind": "close"}, b'{"reason":"done"}', unix_ms()).get(timeout=30)
        if end:
            self.send(self.media, {"kind": "end"}, b"", unix_ms()).get(timeout=30)
        self.tell("ended" if end else "away")
        self.producer.close()

    def send(
        self, topic: str, header: Json | None, value: bytes, wall: int, partition: int = -1
    ) -> Any:
        """One record, in the stream's partition if no other; the future of its acknowledgement."""
        partition = self.partition if partition < 0 else partition
        whole = json.dumps({"v": 1, "epoch": self.epoch} | header) if header else ""
        headers = [("kinolog", whole.encode())] if header else []
        return self.producer.send(
            topic, value, self.key, headers, partition=partition, timestamp_ms=wall
        )


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


def box(name: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), name) + b"".join(content)


def moof_mdat(sequence: int, samples: list[Sample]) -> bytes:
    """A CMAF chunk of track 1 (ISO/IEC 14496-12, 8.8)."""

    def moof(data_offset: int) -> bytes:
        columns = b"".join(
            struct.pack(
                ">IIIi",
                s.duration,
                len(s.data),
                0x02000000 if s.sync else 0x01010000,
                s.pts - s.dts,
            )
            for s in samples
        )
        return box(
            b"moof",
            box(b"mfhd", struct.pack(">II", 0, sequence)),
            box(
                b"traf",
                box(b"tfhd", struct.pack(">II", 0x020000, 1)),  # offsets from the moof
                box(b"tfdt", struct.pack(">IQ", 0x01000000, samples[0].dts)),
                box(b"trun", struct.pack(">IIi", 0x01000F01, len(samples), data_offset), columns),
            ),
        )

    size = len(moof(0))
    return moof(size + 8) + box(b"mdat", *(s.data for s in samples))


def init_segment(stream: Any) -> bytes:
    """ftyp and moov, as FFmpeg's muxer writes them before the first fragment."""
    file = io.BytesIO()
    options = {
        "movflags": "empty_moov+default_base_moof",
        "use_editlist": "0",
        "video_track_timescale": str(stream.time_base.denominator),
    }
    with av.open(file, "w", format="mp4", options=options) as output:
        output.add_stream_from_template(stream)
        output.start_encoding()
    data, at = file.getvalue(), 0
    while data[at + 4 : at + 8] != b"moov":
        at += int.from_bytes(data[at : at + 4], "big")
    return data[: at + int.from_bytes(data[at : at + 4], "big")]


def samples_of(container: Any, stream: Any, start_ms: int) -> Iterator[Sample]:
    """The samples, media time beginning at a Unix time."""
    shift = None
    for packet in container.demux(stream):
        if packet.dts is None:
            continue  # the demuxer's flush
        if shift is None:
            shift = start_ms * stream.time_base.denominator // 1000 - packet.dts
        dts, pts = packet.dts + shift, packet.pts + shift
        yield Sample(dts, pts, packet.duration, packet.is_keyframe, bytes(packet))


def cut(samples: Iterator[Sample], timescale: int, entry: Json, parts: bool) -> Iterator[Chunk]:
    """A chunk a part. A segment ends before the first keyframe from the target duration on, or by
    force less than half a second later; a part before it would be longer than `part_ms`."""
    target, part_ticks = (entry[name] * timescale // 1000 for name in ("target_ms", "part_ms"))
    segment = part = chunk = begun = 0
    held: list[Sample] = []
    for sample, after in pairwise(chain(samples, [None])):
        assert sample is not None
        begun = begun or sample.dts
        if after is None:
            held.append(sample)
            yield Chunk(segment, part, chunk, "segment", held)
            return
        held.append(sample._replace(duration=after.dts - sample.dts))
        elapsed = after.dts - begun
        due = after.sync and elapsed >= target
        if due or elapsed + sample.duration >= target + timescale // 2:
            yield Chunk(segment, part, chunk, "segment", held)
            segment, part, chunk, begun, held = segment + 1, 0, 0, after.dts, []
        elif after.dts + sample.duration - held[0].dts > part_ticks:
            yield Chunk(segment, part, chunk, "part" if parts else "", held)
            part, chunk, held = part + parts, chunk + 1, []


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish an MP4 file's video with kafka-python.")
    parser.add_argument("file")
    parser.add_argument("stream", help="collection/name; the collection must be there")
    parser.add_argument("--bootstrap-servers", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="kinolog", help="of the topics' names")
    parser.add_argument("--fast", action="store_true", help="not at its own pace; it ends now")
    parser.add_argument("--end", action="store_true", help="end the stream: players are told")
    args = parser.parse_args()

    writer = Writer(args.bootstrap_servers, args.prefix, args.stream)
    with av.open(args.file) as container:
        stream = container.streams.video[0]
        config = stream.codec_context.extradata or b""
        if (
            stream.codec_context.name != "h264"
            or config[:1] != b"\1"
            or stream.time_base.numerator != 1
        ):
            raise SystemExit("an MP4 file with H.264 is wanted")
        timescale, rate = stream.time_base.denominator, float(stream.average_rate)
        entry, new = writer.place()
        part_ms = entry["part_ms"]
        # Whole frames must fill a part to 85 %; else the session has none.
        parts = int(part_ms / 1000 * rate + 1e-6) * 1000 / rate >= 0.85 * part_ms
        track = {
            "name": "video", "kind": "video", "codec": f"avc1.{config[1:4].hex()}",
            "timescale": timescale, "init": base64.b64encode(init_segment(stream)).decode(),
            "width": stream.width, "height": stream.height, "frame_rate": round(rate, 3),
        }  # fmt: skip
        value = {
            "session": writer.session, "publisher": "write_kafka_python", "software": "an example",
            "target_ms": entry["target_ms"], "part_ms": part_ms, "tracks": [track],
            "parts": parts, "profile": "standard", "end_grace_ms": 60_000,
        }  # fmt: skip
        writer.open(entry, new, value)
        start_ms = unix_ms() - (container.duration // 1000 if args.fast else 0)
        samples = samples_of(container, stream, start_ms)
        count = 0
        for count, chunk in enumerate(cut(samples, timescale, entry, parts), 1):
            wall = chunk.samples[0].dts * 1000 // timescale
            ends_ms = (chunk.samples[-1].dts + chunk.samples[-1].duration) * 1000 // timescale
            time.sleep(0 if args.fast else max(0, ends_ms - unix_ms()) / 1000)
            writer.write(chunk, moof_mdat(count, chunk.samples), wall)
    writer.close(end=args.end)
    print(f"{args.stream}: {count} chunks in epoch {writer.epoch}", file=sys.stderr)


if __name__ == "__main__":
    main()
