"""What was sent against what was seen: lost, repeated and reordered frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from kinolog.testing.frames import FrameSeen


@dataclass(frozen=True, slots=True)
class Report:
    """The difference between frames sent and frames seen.

    `lost`: sent and never seen. `repeated`: how often too many, by number. `reordered`: numbers
    seen after a higher one (repeats not counted). `foreign`: seen and never sent. `unreadable`:
    pictures without a number. `longest_run_lost`: numbers lost in a row.
    `longest_gap_seconds`: between two successive pictures.
    """

    sent: int
    seen: int
    lost: tuple[int, ...]
    repeated: dict[int, int]
    reordered: tuple[int, ...]
    foreign: tuple[int, ...]
    unreadable: int
    longest_run_lost: int
    longest_gap_seconds: float

    @property
    def clean(self) -> bool:
        """Every frame was seen, once, in order, and nothing else."""
        return not (self.lost or self.repeated or self.reordered or self.foreign or self.unreadable)

    def __str__(self) -> str:
        """One line a finding; the first numbers of each."""
        lines = [f"{self.sent} sent, {self.seen} seen: {'all well' if self.clean else 'not well'}"]
        for name in ("lost", "repeated", "reordered", "foreign"):
            numbers = tuple(getattr(self, name))
            if numbers:
                lines.append(f"  {name}: {len(numbers)} ({_some(numbers)})")
        if self.unreadable:
            lines.append(f"  unreadable: {self.unreadable}")
        if self.lost:
            lines.append(f"  longest run lost: {self.longest_run_lost} frames")
        lines.append(f"  longest gap: {self.longest_gap_seconds:.3f} s")
        return "\n".join(lines)


class FrameLedger:
    """Keeps both sides of the account while a run goes on."""

    def __init__(self) -> None:
        self._sent: list[int] = []
        self._seen: list[FrameSeen] = []

    def sent(self, *numbers: int) -> None:
        """Frames that a viewer must see, in order."""
        self._sent.extend(numbers)

    def seen(self, *frames: FrameSeen) -> None:
        """Frames that a viewer saw, in order."""
        self._seen.extend(frames)

    def report(self) -> Report:
        """The account so far."""
        return compare(self._sent, self._seen)


def compare(sent: Iterable[int], seen: Iterable[FrameSeen]) -> Report:
    """Compare the numbers `sent` (each once, in order) with the frames `seen`, in viewing order."""
    expected = list(sent)
    frames = list(seen)
    counts = Counter(frame.number for frame in frames if frame.number is not None)
    known = set(expected)
    lost = tuple(number for number in expected if number not in counts)
    return Report(
        sent=len(expected),
        seen=len(frames),
        lost=lost,
        repeated={number: count - 1 for number, count in sorted(counts.items()) if count > 1},
        reordered=_reordered(frames),
        foreign=tuple(sorted(number for number in counts if number not in known)),
        unreadable=sum(frame.number is None for frame in frames),
        longest_run_lost=_longest_run(expected, set(lost)),
        longest_gap_seconds=max(
            (later.pts_seconds - earlier.pts_seconds for earlier, later in pairwise(frames)),
            default=0.0,
        ),
    )


def _reordered(frames: Iterable[FrameSeen]) -> tuple[int, ...]:
    found: list[int] = []
    met: set[int] = set()
    highest = -1
    for number, *_ in frames:
        if number is None or number in met:
            continue
        met.add(number)
        if number < highest:
            found.append(number)
        highest = max(highest, number)
    return tuple(found)


def _longest_run(expected: Iterable[int], lost: set[int]) -> int:
    longest = run = 0
    for number in expected:
        run = run + 1 if number in lost else 0
        longest = max(longest, run)
    return longest


def _some(numbers: tuple[int, ...], limit: int = 8) -> str:
    text = ", ".join(map(str, numbers[:limit]))
    return f"{text}, …" if len(numbers) > limit else text
