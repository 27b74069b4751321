"""What leads to a moment, of GOPs that are open or of several segments, by the index's entries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kinolog.core.errors import KafkaUnavailable
from kinolog.core.names import StreamName
from kinolog.delivery.history import Named
from kinolog.delivery.leads import Leads
from kinolog.record.control import SegmentEntry
from kinolog.record.page import INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.window import Run

NAME = Named(StreamName("demo", "gate"), "video")
TICKS, FRAME_MS = 40, 40
"""A tick is a millisecond."""
BEGUN_MS = 1_000_000
SHOWN = [[0, 4, 2, 1, 3], [8, 6, 5, 7], [10, 9, 14, 12, 11, 13], [16, 15]]
"""Pictures in the order of decoding: two segments of a GOP, an open one, and what is left of it."""
KEYED = (0, 2)


class Recorded:
    """Two sessions of the same, one after the other, as a history has them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], Row] = {}
        self.entries: dict[tuple[int, int], SegmentEntry] = {}
        self.read = 0
        self.away = False
        for epoch, begins in ((1, 0), (2, 2)):  # the second with the open GOP
            at, least = 0, min(SHOWN[begins])
            ahead = SHOWN[begins][0] - least  # a session's first picture has one time for both
            for n, shown in enumerate(SHOWN[begins:], begins):
                msn = 10 * epoch + n
                wall = BEGUN_MS + 1000 * epoch + (ahead + at) * FRAME_MS
                flags = INDEPENDENT if n in KEYED else 0
                count = len(shown)
                row = Row(
                    epoch, epoch, msn, at * TICKS, count * TICKS, wall, msn, msn, 1, msn, flags
                )
                cts = [(one - least - ahead - at - i) * TICKS for i, one in enumerate(shown)]
                self.rows[epoch, msn] = row
                one_each, keys = [1] * count, [0] if n in KEYED else []
                self.entries[epoch, msn] = SegmentEntry(
                    "video", epoch, epoch, msn, row.dts, row.dur, wall, n in KEYED, 1, [msn],
                    [count], [count], [100], one_each, [TICKS] * count, cts, keys, True,
                )  # fmt: skip
                at += count

    async def between(self, _: Named, start_ms: float, end_ms: float, live: Table) -> list[Run]:
        found = []
        for epoch in (1, 2):
            rows = [
                row
                for row in self.rows.values()
                if row.epoch == epoch and row.wall < end_ms and row.wall + row.dur > start_ms
            ]
            if rows:
                found.append(Run(Table(rows), 0, len(rows), epoch, epoch, 1000))
        return found

    async def entry(self, _: Named, row: Row) -> SegmentEntry | None:
        self.read += 1
        if self.away:
            raise KafkaUnavailable("away")
        return self.entries.get((row.epoch, row.msn))


def leads_of(recorded: Any) -> Leads:
    return Leads(recorded)


def at(epoch: int, picture: float) -> float:
    """When a picture was captured, or amid it."""
    first = 0 if epoch == 1 else 9
    return BEGUN_MS + 1000 * epoch + (picture - first) * FRAME_MS


def since(recorded: Recorded, at_ms: float) -> float:
    return asyncio.run(leads_of(recorded).since(NAME, Table(), at_ms))


@pytest.mark.parametrize("picture", [0, 3, 6, 8, 10, 12, 14])
def test_what_its_keyframe_is_shown_before_needs_no_more(picture: int) -> None:
    moment = at(1, picture + 0.5)
    assert since(Recorded(), moment) == moment


def test_what_is_shown_before_its_keyframe_needs_the_gop_before() -> None:
    recorded = Recorded()
    begin_ms = recorded.rows[1, 12].wall
    assert since(recorded, at(1, 9.5)) == begin_ms - 1


def test_a_session_that_begins_so_has_nothing_before() -> None:
    moment = at(2, 9.5)
    assert since(Recorded(), moment) == moment


def test_without_kafka_it_is_taken_to_be_in_order_and_asked_for_again() -> None:
    recorded = Recorded()
    recorded.away = True
    leads = leads_of(recorded)
    moment = at(1, 9.5)
    assert asyncio.run(leads.since(NAME, Table(), moment)) == moment
    recorded.away = False
    assert asyncio.run(leads.since(NAME, Table(), moment)) < moment
    read = recorded.read
    asyncio.run(leads.since(NAME, Table(), moment))
    assert recorded.read == read


@pytest.mark.parametrize(
    ("end", "needs"),
    [(4, 10), (5, 10), (6, 11), (8, 11), (9, 11), (14, 12), (15, 12), (16, 13)],
)
def test_a_range_ends_behind_all_that_is_shown_in_it(end: int, needs: int) -> None:
    """`end`: the first picture that is not; `needs`: the last segment."""
    recorded = Recorded()
    end_ms = asyncio.run(leads_of(recorded).end_ms(NAME, Table(), at(1, end - 0.5)))
    runs = asyncio.run(recorded.between(NAME, 0, end_ms, Table()))
    assert runs[0].last_msn == needs


def test_how_late_a_picture_is_decoded() -> None:
    late_ms = asyncio.run(leads_of(Recorded()).late_ms(NAME, Table(), at(1, 12)))
    decoded = {one: n for n, one in enumerate(one for shown in SHOWN for one in shown)}
    worst = max(decoded[one] - one for one in SHOWN[2]) * FRAME_MS
    assert late_ms == pytest.approx(worst)


def test_players_drop_a_keyframe_that_is_shown_before_its_dts() -> None:
    recorded = Recorded()
    drops = leads_of(recorded).drops

    def asked(msn: int, late: int) -> bool:
        run = Run(Table([recorded.rows[1, msn]._replace(late=late)]), 0, 1, 1, 1, 1000)
        return asyncio.run(drops(NAME, run))

    assert not asked(10, 0)
    assert recorded.read == 0
    recorded.entries[1, 10].sample_cts[0] = -TICKS
    assert asked(10, -TICKS)
    # An open GOP: what is shown before that is not the keyframe.
    assert not asked(12, -TICKS)
    assert not asked(11, -TICKS)
