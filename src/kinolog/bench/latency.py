"""Latency by stage, and at a hold-back, from what was noted of each part. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from kinolog.bench.follower import Part, Place
from kinolog.ingest.ack_log import AckLine

STAGES = {
    "last_frame_to_acknowledged_s": "last frame captured → its chunk acknowledged",
    "last_frame_to_readable_s": "last frame captured → readable at a tail like the edge's",
    "last_frame_to_client_s": "last frame captured → part's last byte at a client",
    "first_frame_to_client_s": "first frame captured → part's last byte at a client",
    "acknowledged_to_client_s": "last chunk acknowledged → part's last byte at a client",
}
_LEAST_STALL_S = 0.05
_LEAST_GAP_S = 0.1
_ROUNDING_S = 0.001
_PHASES = (0.0, 0.25, 0.5, 0.75)
_WATCHED_PARTS = 50


class Capture(NamedTuple):
    """When a part's first and last picture were captured, Unix seconds."""

    first: float
    last: float


Captured = Callable[[Place, Part], Capture | None]
"""Where it is known when a part was captured."""


def by_the_log(_: Place, part: Part) -> Capture:
    """As the wall clock in the stream's records says."""
    return Capture(part.first, part.last)


def by_the_sender(times: Sequence[float], zero: Mapping[int, int], frame_rate: float) -> Captured:
    """As the sender noted for each picture from the first; `zero`: the first one's DTS, by epoch.

    Parts of later epochs than the first are not known: pictures may be missing between.
    """

    def captured(place: Place, part: Part) -> Capture | None:
        if place.epoch != min(zero):
            return None
        numbers = [
            round((dts - zero[place.epoch]) * frame_rate / part.timescale)
            for dts in (part.dts, part.last_dts)
        ]
        return Capture(*(times[number] for number in numbers)) if numbers[1] < len(times) else None

    return captured


def on_schedule(times: Sequence[float], frame_rate: float) -> list[float]:
    """When each picture was due: one every 1 / `frame_rate` s, as the least late of them tells."""
    start = min((time - number / frame_rate for number, time in enumerate(times)), default=0.0)
    return [start + number / frame_rate for number in range(len(times))]


def acknowledged(lines: Sequence[AckLine], stream: str) -> dict[tuple[int, int, int], float]:
    """When (Unix s) each chunk of a stream's first video track was acknowledged, by its epoch,
    MSN and number."""
    return {
        (line.epoch, line.msn, line.chunk): line.acked_us / 1e6
        for line in lines
        if line.stream == stream and line.track == "video" and line.acked_us
    }


def by_stage(
    parts: Mapping[Place, Part],
    heard: Mapping[Place, float],
    acked: Mapping[tuple[int, int, int], float],
    captured: Captured,
) -> dict[str, list[float]]:
    """Seconds of each of STAGES, for the parts that a client heard."""
    rows: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for place, arrived in heard.items():
        part = parts.get(place)
        capture = captured(place, part) if part is not None else None
        if part is None or capture is None:
            continue
        landed = acked.get((place.epoch, place.msn, part.last_chunk))
        if landed is not None:
            rows["last_frame_to_acknowledged_s"].append(landed - capture.last)
            rows["acknowledged_to_client_s"].append(arrived - landed)
        rows["last_frame_to_readable_s"].append(part.readable - capture.last)
        rows["last_frame_to_client_s"].append(arrived - capture.last)
        rows["first_frame_to_client_s"].append(arrived - capture.first)
    return rows


class Buffered(NamedTuple):
    """A part at a player: when its start and its end were due to be captured, and when it came
    (Unix s). Due, for a player shows pictures as evenly as the camera meant them."""

    start: float
    end: float
    came: float


@dataclass(slots=True)
class Playback:
    """What a viewer saw."""

    live_s: list[float] = field(default_factory=list)
    """At each part's arrival, how long ago the picture on the screen was captured."""
    stalls: int = 0
    stalled_s: float = 0.0


def play_back(parts: Sequence[Buffered], start: float, need_s: float) -> Playback:
    """A player that shows media from the capture time `start` on, at the speed of time.

    `parts` in order. It begins, and goes on after a stall, when `need_s` is buffered after the
    playhead, and leaps over what was never captured.
    """
    seen = Playback()
    head, buffered_to = start, start
    shown_since: float | None = None
    for part in parts:
        if shown_since is not None:
            due = head + part.came - shown_since
            late_s = due - buffered_to
            head, shown_since = min(due, buffered_to), part.came
            if late_s > _LEAST_STALL_S:
                seen.stalls += 1
                seen.stalled_s += late_s
                shown_since = None
        if part.start - buffered_to > _LEAST_GAP_S and buffered_to > start:
            head += part.start - buffered_to
        buffered_to = max(buffered_to, part.end)
        if shown_since is None and buffered_to - head >= need_s - _ROUNDING_S:
            shown_since = part.came
        if shown_since is not None:
            seen.live_s.append(part.came - head)
    return seen


def live_latency(parts: Sequence[Buffered], hold_back_s: float, need_s: float) -> list[float]:
    """What viewers see who join at any time: live latency, a value a viewer, its median.

    They are reckoned from the parts of one client: four join evenly between each part's coming
    and the next one's, are given at once what is there, play `hold_back_s` before its end, and
    watch 50 parts.
    """
    found = []
    for index, (newest, following) in enumerate(pairwise(parts)):
        start = newest.end - hold_back_s
        first = bisect_right(parts, start, key=lambda part: part.end)
        if parts[first].start > start + _ROUNDING_S:
            continue
        for phase in _PHASES:
            joined = newest.came + phase * (following.came - newest.came)
            watched = [
                part._replace(came=max(part.came, joined))
                for part in parts[first : index + _WATCHED_PARTS]
            ]
            seen = play_back(watched, start, need_s)
            if seen.live_s:
                found.append(statistics.median(seen.live_s))
    return found
