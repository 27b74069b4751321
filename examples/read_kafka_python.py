"""Reads a kinolog stream with kafka-python alone, by docs/wire-format.md: no import of kinolog.

pip install 'kafka-python[zstd]>=3'
python read_kafka_python.py demo/camera --list
python read_kafka_python.py demo/camera --follow | ffplay -

The rule that says which records count is in stream_rules.py; here is where to read, and output.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO

from kafka import KafkaConsumer, TopicPartition

from stream_rules import Json, Stream, read_header, understood


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


def place_of(entry: Json) -> tuple[str, int]:
    return entry["base"], entry["partition"]


def session_before(registry: dict[str, Json], stream: str, place: Json, offset: int) -> Json | None:
    """The newest session opened before an offset of a placement that the registry knows (the
    index is written first: it has those too that ingest had no time to tell the registry of)."""
    found = [entry for key, entry in registry.items() if key.startswith(stream + "/")]
    here = [entry for entry in found if place_of(entry) == place_of(place)]
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
    places = registry[stream]["placements"]
    for at, place in enumerate(places) if start is None else [(len(places) - 1, places[-1])]:
        # A place that the stream came back to later: here only what was opened before it went.
        below = (
            places[at + 1]["from_epoch"]
            if place_of(place) in map(place_of, places[at + 1 :])
            else 1 << 63
        )
        ongoing = follow and at == len(places) - 1
        topic, begun = place["base"] + ".media", False
        for record in read(servers, topic, place["partition"], start or 0, ongoing):
            session = None if begun else session_before(registry, stream, place, record.offset)
            if session and session["epoch"] > reader.epoch:
                yield reader.open(session["epoch"], session["open"], synced=False)
            begun = True
            header = read_header(record.headers) if record.key == name else None
            if not header or header["epoch"] < place.get("from_epoch", 0):
                continue  # or of a stream of this name that was deleted
            if header["epoch"] < below or header["kind"] == "fence":
                yield from understood(reader, header, record.value or b"")


def shown(event: Json) -> Json:
    """An event as `--list` prints it."""
    if event["event"] != "chunk":
        return {key: value for key, value in event.items() if key != "open"}
    place = {key: event["header"][key] for key in ("epoch", "track", "msn", "part", "chunk")}
    return {"event": "chunk", **place, "sha256": hashlib.sha256(event["data"]).hexdigest()}


def write_movie(found: Iterator[Json], track: str, output: BinaryIO) -> None:
    """One track as fragmented MP4, from a sync sample on, and after a hole from the next one on.
    So at a new session; not where one goes on, amid a group of pictures, after a failed delivery.
    An epoch with another init segment writes that: MSE takes it, a file's reader may not."""
    written, waiting, session = b"", True, None
    for event in found:
        if event["event"] == "open":
            inits = [t["init"] for t in event["open"]["tracks"] if t["name"] == track]
            init = base64.b64decode(inits[0]) if inits else written
            output.write(b"" if init == written else init)
            waiting |= init != written or event["open"]["session"] != session
            written, session = init, event["open"]["session"]
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
