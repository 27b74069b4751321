"""Measures of stretches of recorded media segments: bit rates, and whether each stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kinolog.record.page import GAP, INDEPENDENT
from kinolog.timeline.window import Run


def independent(runs: Iterable[Run]) -> bool:
    """Every segment begins with a sync sample, and so can be decoded by itself."""
    return all(
        flags & (INDEPENDENT | GAP)
        for run in runs
        for flags in set(run.table.flags[run.start : run.stop])
    )


def expected(run: Run, target_ticks: int, count: int) -> list[int]:
    """How long the next segments will be that follow a run (ticks), as far as can be told: as long
    as the target, or, of GOPs that are longer than that, as those of the GOP before."""
    table = run.table
    keys = [n for n in range(run.start, run.stop) if table.flags[n] & INDEPENDENT][-2:]
    if len(keys) < 2 or keys[1] == keys[0] + 1:
        return [target_ticks] * count
    before = table.dur[keys[0] : keys[1]]
    since = run.stop - keys[1]
    return [before[(since + n) % len(before)] for n in range(count)]


def rates(runs: Sequence[Run], target_ms: int) -> tuple[int, int] | None:
    """(peak, average) of the segments, bits per second; None where there is nothing to count.
    Segments of less than half the target duration do not count for the peak."""
    total_bits = total_s = 0.0
    peak = 0.0
    for run in runs:
        floor = target_ms * run.timescale / 2000
        sizes = run.table.size[run.start : run.stop]
        durations = run.table.dur[run.start : run.stop]
        total_bits += 8 * sum(sizes)
        total_s += sum(durations) / run.timescale
        fastest = max(
            (s / d for s, d in zip(sizes, durations, strict=True) if d >= floor), default=0
        )
        peak = max(peak, 8 * fastest * run.timescale)
    if not total_s:
        return None
    average = total_bits / total_s
    return round(max(peak, average)), round(average)
