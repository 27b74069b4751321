"""The kit that counts frames: its own account must be right."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest

import kinolog.testing
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.source import SourceEvent
from kinolog.media.types import Packet
from kinolog.testing import (
    FrameLedger,
    FrameSeen,
    compare,
    measure_av_sync,
    read_block_codes,
    record,
)


def made(url: str) -> list[SourceEvent]:
    return [event for batch in SyntheticCamera(url).events(0) for event in batch]


def seen(*numbers: int | None) -> list[FrameSeen]:
    return [FrameSeen(number, index / 10, False) for index, number in enumerate(numbers)]


def test_public_names_are_sorted_and_there() -> None:
    names = kinolog.testing.__all__
    assert names == sorted(names)
    assert all(hasattr(kinolog.testing, name) for name in names)


def test_all_well() -> None:
    report = compare(range(3), seen(0, 1, 2))
    assert report.clean
    assert str(report) == "3 sent, 3 seen: all well\n  longest gap: 0.100 s"


def test_each_finding_is_counted_and_named() -> None:
    report = compare(range(8), seen(0, 1, 1, 5, 2, None, 99))
    assert report.lost == (3, 4, 6, 7)
    assert report.repeated == {1: 1}
    assert report.reordered == (2,)
    assert report.foreign == (99,)
    assert report.unreadable == 1
    assert report.longest_run_lost == 2
    assert not report.clean
    assert "lost: 4 (3, 4, 6, 7)" in str(report)


def test_the_longest_gap_is_of_time() -> None:
    frames = [FrameSeen(0, 0.0, True), FrameSeen(1, 0.04, False), FrameSeen(2, 3.54, False)]
    assert compare(range(3), frames).longest_gap_seconds == pytest.approx(3.5)
    assert compare([], []).longest_gap_seconds == 0


def test_a_ledger_is_kept_as_the_run_goes_on() -> None:
    ledger = FrameLedger()
    ledger.sent(1, 2)
    ledger.seen(*seen(1))
    assert ledger.report().lost == (2,)
    ledger.seen(FrameSeen(2, 1.0, False))
    assert ledger.report().clean


def test_reads_a_path_a_file_and_an_open_container(tmp_path: Path) -> None:
    data = record(made("test:160x90@10?seconds=1&audio=0&start_number=5"))
    path = tmp_path / "camera.mkv"
    path.write_bytes(data)
    expected = list(range(5, 15))
    for source in (path, str(path), io.BytesIO(data)):
        assert [frame.number for frame in read_block_codes(source)] == expected
    with av.open(str(path)) as container:
        frames = read_block_codes(container)
        container.seek(0)
    assert [frame.number for frame in frames] == expected
    assert [frame.keyframe for frame in frames] == [True] + [False] * 9


def test_a_lost_group_of_pictures_is_found() -> None:
    events = [
        event
        for event in made("test:160x90@10?seconds=3&audio=0")
        if not (isinstance(event, Packet) and 90_000 <= event.pts < 180_000)
    ]
    report = compare(range(30), read_block_codes(io.BytesIO(record(events))))
    assert report.lost == tuple(range(10, 20))
    assert report.longest_run_lost == 10
    assert report.longest_gap_seconds == pytest.approx(1.1, abs=0.002)


@pytest.mark.parametrize("late_ms", [-120, -40, 40, 120, 300])
def test_sound_that_is_off_is_measured(late_ms: int) -> None:
    events = [
        event._replace(dts=event.dts + late_ms * 48, pts=event.pts + late_ms * 48)
        if isinstance(event, Packet) and event.track == 1
        else event
        for event in made("test:160x90@30?seconds=4")
    ]
    offsets = measure_av_sync(io.BytesIO(record(events)))
    assert len(offsets) >= 2
    assert offsets == pytest.approx([late_ms / 1000] * len(offsets), abs=0.005)


def test_no_sound_is_an_error_and_not_in_sync() -> None:
    with pytest.raises(IndexError):
        measure_av_sync(io.BytesIO(record(made("test:160x90@10?seconds=1&audio=0"))))
