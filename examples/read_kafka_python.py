"""Reads a kinolog stream with kafka-python alone, by docs/wire-format.md: no import of kinolog.

pip install 'kafka-python[zstd]>=3'
python read_kafka_python.py demo/camera --list
python read_kafka_python.py demo/camera --follow | ffplay -
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, BinaryIO

from kafka import KafkaConsumer, TopicPartition

Json = dict[str, Any]
NUMBERS = {"disc": 0, "msn": 0, "part": 0, "chunk": 0, "piece": 0, "pieces": 1} | {
    "dts": 0, "dur": 0, "wall": 0,
}  # fmt: skip
DEFAULTS: Json = NUMBERS | {"track": "", "ind": False, "ends": ""}
OPEN_FIELDS = {"session", "publisher", "software", "target_ms", "part_ms", "tracks"}
TRACK_FIELDS = {"name", "kind", "codec", "timescale", "init"}


class Track:
    """Where a track is: the next chunk of its newest segment, and the pieces held of that."""

    def __init__(self, synced: bool) -> None:
        self.synced = synced  # False until a segment begins, where we started in the middle
        self.msn, self.next_chunk = -1, 0
        self.ended, self.holed = True, False
        self.pieces: list[bytes] = []


class Stream:
    """The rule that says which records of a stream count; takes them in log order."""

    def __init__(self) -> None:
        self.epoch = -1
        self.closed = self.ended = False
        self.tracks: dict[str, Track] = {}

    def open(self, epoch: int, value: Json, *, synced: bool = True) -> Json:
        """A valid open record; or, not synced, a session to begin from in its middle."""
        self.epoch, self.closed, self.ended = epoch, False, False
        self.tracks = {track["name"]: Track(synced) for track in value["tracks"]}
        return {"event": "open", "epoch": epoch, "open": value}

    def feed(self, header: Json, value: bytes) -> Iterator[Json]:
        """What a record means: nothing for one that does not count."""
        kind, epoch = header["kind"], header["epoch"]
        if kind == "open":
            if epoch > self.epoch and (opened := read_open(value)):
                yield self.open(epoch, opened)  # any other is void
        elif epoch != self.epoch or (self.closed and (kind != "end" or self.ended)):
            return  # a zombie, the writer of a void open, or after the close
        elif kind == "chunk":
            track = self.tracks.get(header["track"])
            if track and min(header[name] for name in NUMBERS) >= 0:
                yield from self.chunk(header, value, track)
        elif kind in ("close", "end"):
            if kind == "close" and value:
                json.loads(value)
            for name, track in self.tracks.items():
                if track.pieces:  # half a chunk
                    yield from self.hole(name, track)
            self.closed, self.ended = True, kind == "end"
            yield {"event": kind, "epoch": epoch}

    def chunk(self, header: Json, value: bytes, track: Track) -> Iterator[Json]:
        """(msn, chunk, piece) of a track only goes up; what is left out is a hole."""
        name, msn, chunk, piece = (header[key] for key in ("track", "msn", "chunk", "piece"))
        if not piece < header["pieces"] <= 128 or (not track.synced and (chunk or piece)):
            return  # makes no sense, or is the rest of a segment whose beginning we do not have
        track.synced = True
        if msn > track.msn:
            if track.pieces:
                yield from self.hole(name, track)
            track.msn, track.next_chunk, track.ended, track.holed = msn, 0, False, False
        elif msn < track.msn or chunk < track.next_chunk or track.ended:
            return  # a repeat, or of a segment that has ended
        if chunk > track.next_chunk:
            yield from self.hole(name, track)
            track.next_chunk = chunk
        if piece < len(track.pieces):
            return  # a repeat
        if piece > len(track.pieces):
            yield from self.hole(name, track)  # a piece is missing: the chunk is lost
        else:
            track.pieces.append(value)
            if piece + 1 < header["pieces"]:
                return
            data, track.pieces = b"".join(track.pieces), []
            yield {"event": "chunk", "header": header, "data": data}
        track.next_chunk, track.ended = chunk + 1, header["ends"] == "segment"

    def hole(self, name: str, track: Track) -> Iterator[Json]:
        """Something of the segment is missing; told once."""
        track.pieces = []
        if not track.holed:
            track.holed = True
            yield {"event": "hole", "epoch": self.epoch, "track": name, "msn": track.msn}


def read_header(headers: list[tuple[str, bytes]]) -> Json | None:
    """The `kinolog` header with its defaults; None where there is none that we understand."""
    with suppress(ValueError, TypeError, KeyError):
        header: Json = DEFAULTS | json.loads(dict(reversed(headers))["kinolog"])
        if header["v"] == 1 and isinstance(header["epoch"], int) and header["kind"]:
            return header
    return None


def read_open(value: bytes) -> Json | None:
    """The value of an open record, None where it is not readable."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        opened: Json = json.loads(value)
        inits = [base64.b64decode(track["init"], validate=True) for track in opened["tracks"]]
        whole = all(track.keys() >= TRACK_FIELDS for track in opened["tracks"])
        return opened if whole and inits is not None and opened.keys() >= OPEN_FIELDS else None
    return None


def read(servers: str, topic: str, partition: int, start: int, follow: bool) -> Iterator[Any]:
    """The records of a partition from `start`, or the oldest kept, to its end or for ever. Of a
    transaction that is open there, the outcome is waited for."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers.split(","), isolation_level="read_committed",
        enable_auto_commit=False, auto_offset_reset="earliest",
    )  # fmt: skip
    place = TopicPartition(topic, partition)
    with closing(consumer):
        consumer.assign([place])
        consumer.seek(place, max(start, consumer.beginning_offsets([place])[place]))
        with closing(KafkaConsumer(bootstrap_servers=servers.split(","))) as uncommitted:
            end = uncommitted.end_offsets([place])[place]
        while follow or consumer.position(place) < end:
            for records in consumer.poll(timeout_ms=500).values():
                yield from records


def read_registry(servers: str, prefix: str) -> dict[str, Json]:
    """The newest value of each key of the registry, whose topic is compressed with zstd."""
    values = {r.key.decode(): r.value for r in read(servers, f"{prefix}.registry", 0, 0, False)}
    return {key: json.loads(value) for key, value in values.items() if value}


def session_before(registry: dict[str, Json], stream: str, place: Json, offset: int) -> Json | None:
    """The newest session that was opened before an offset of a placement, as the registry knows
    (the index is written first: it has those that ingest had no time to tell the registry of)."""
    found = [entry for key, entry in registry.items() if key.startswith(stream + "/")]
    here = [e for e in found if (e["base"], e["partition"]) == (place["base"], place["partition"])]
    opened = [entry for entry in here if entry["open_offset"] < offset]
    return max(opened, key=lambda entry: int(entry["epoch"]), default=None)


def events(
    servers: str, prefix: str, stream: str, start: int | None = None, follow: bool = False
) -> Iterator[Json]:
    """What a stream's log holds, from its oldest placement on, or from an offset of the newest.
    A stream that is moved while it is followed is not followed to its new place."""
    registry = read_registry(servers, prefix)
    if stream not in registry:
        raise SystemExit(f"the registry {prefix}.registry has no stream {stream}")
    reader, name = Stream(), stream.split("/")[1].encode()
    placements = registry[stream]["placements"]
    for place in placements if start is None else placements[-1:]:
        last = place is placements[-1]
        records = read(
            servers, place["base"] + ".media", place["partition"], start or 0, last and follow
        )
        for number, record in enumerate(records):
            if number == 0 and (session := session_before(registry, stream, place, record.offset)):
                yield reader.open(session["epoch"], session["open"], synced=False)
            if record.key == name and (header := read_header(record.headers)):
                yield from understood(reader, header, record.value or b"")


def understood(reader: Stream, header: Json, value: bytes) -> Iterator[Json]:
    """What a record means; nothing where its header or value is not of its kind's shape."""
    with suppress(ValueError, TypeError):
        yield from reader.feed(header, value)


def shown(event: Json) -> Json:
    """An event as `--list` prints it."""
    if event["event"] != "chunk":
        return {key: value for key, value in event.items() if key != "open"}
    place = {key: event["header"][key] for key in ("epoch", "track", "msn", "part", "chunk")}
    return {"event": "chunk", **place, "sha256": hashlib.sha256(event["data"]).hexdigest()}


def write_movie(found: Iterator[Json], track: str, output: BinaryIO) -> None:
    """One track as fragmented MP4, from a sync sample on, and after a hole from the next one on.
    An epoch with another init segment writes that: MSE takes it, a file's reader may not."""
    written, waiting = b"", True
    for event in found:
        if event["event"] == "open":
            inits = [t["init"] for t in event["open"]["tracks"] if t["name"] == track]
            init = base64.b64decode(inits[0]) if inits else written
            output.write(b"" if init == written else init)
            written, waiting = init, True
        elif event["event"] == "hole" and event["track"] == track:
            waiting = True
        elif event["event"] == "chunk" and event["header"]["track"] == track:
            waiting = waiting and not event["header"]["ind"]
            output.write(b"" if waiting else event["data"])
            output.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Read a kinolog stream with kafka-python.")
    parser.add_argument("stream", help="collection/name")
    parser.add_argument("--bootstrap-servers", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="kinolog", help="of the topics' names")
    parser.add_argument("--from-offset", type=int, help="of the media partition; else the oldest")
    parser.add_argument("--follow", action="store_true", help="go on at the end")
    parser.add_argument("--list", action="store_true", help="a JSON line per event, no media")
    parser.add_argument("--track", default="video")
    parser.add_argument("--output", default="-", help="file; - is standard output")
    args = parser.parse_args()
    found = events(args.bootstrap_servers, args.prefix, args.stream, args.from_offset, args.follow)
    if args.list:
        for event in found:
            print(json.dumps(shown(event)), flush=True)
    else:
        with sys.stdout.buffer if args.output == "-" else open(args.output, "wb") as output:
            write_movie(found, args.track, output)


if __name__ == "__main__":
    main()
