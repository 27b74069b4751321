"""`kinolog collections`: what is set for a collection is what its streams are cut by."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from kit.readback import KeptStream, read_stream
from kit.server import kinolog, run, run_well

pytestmark = pytest.mark.cluster


def published(bootstrap: str, stream: str) -> KeptStream:
    camera = "test:320x180@20?seconds=9&gop=1/2"
    run_well(kinolog("publish", camera, stream, "--fast", "--bootstrap-servers", bootstrap))
    return read_stream(bootstrap, stream)


def cut_of(found: KeptStream) -> tuple[set[float], set[float]]:
    """Seconds of the whole media segments and of the whole parts of the newest epoch's video."""
    track = found.epochs[-1].tracks["video"]
    segments, parts = {}, {}
    for header in track.headers:
        segments.setdefault(header.msn, header.dts)
        parts.setdefault((header.msn, header.part), header.dts)
    steps = (sorted(starts.values()) for starts in (segments, parts))
    whole, pieces = ([(b - a) / track.info.timescale for a, b in pairwise(s)] for s in steps)
    return set(whole), set(pieces)


@pytest.mark.slow
def test_target_and_part_duration_are_a_new_streams(one_broker: str) -> None:
    servers = ["--bootstrap-servers", one_broker]
    run_well(
        kinolog("collections", "create", "cuts", "--target", "4s", "--part", "500ms", *servers)
    )
    (shown,) = json.loads(run_well(kinolog("collections", "show", "cuts", "--json", *servers)))
    assert (shown["target"], shown["part"]) == ("4s", "0.5s")
    first = published(one_broker, "cuts/first")
    assert (first.entry.target_ms, first.entry.part_ms) == (4000, 500)
    assert cut_of(first) == ({4.0}, {0.5})

    run_well(kinolog("collections", "alter", "cuts", "--target", "1s", "--part", "100ms", *servers))
    again = published(one_broker, "cuts/first")
    assert (again.entry.target_ms, again.entry.part_ms) == (4000, 500)
    assert cut_of(again) == ({4.0}, {0.5})
    second = published(one_broker, "cuts/second")
    assert (second.entry.target_ms, second.entry.part_ms) == (1000, 100)
    assert cut_of(second) == ({1.0}, {0.1})


def test_durations_that_cannot_be_are_refused(one_broker: str) -> None:
    servers = ["--bootstrap-servers", one_broker]
    done = run(kinolog("collections", "create", "too-short", "--part", "20ms", *servers))
    assert done.returncode == 2
    assert "a part duration of 20 ms is outside 50 ms to the target" in done.stderr
    assert "Traceback" not in done.stderr
