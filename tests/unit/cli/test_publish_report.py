"""What `kinolog publish` says of its progress, where standard error is no terminal."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinolog.cli import publish
from kinolog.core.names import StreamName


def _session(published_ms: int, packets: int) -> Any:
    return SimpleNamespace(
        published_ms=published_ms, packets=packets, left_out=0, skipped={}, unacked_bytes=0
    )


def test_media_is_counted_from_the_beginning_over_reconnections(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    monkeypatch.setattr(cast(Any, publish).time, "monotonic", lambda: now_s)
    first, second = _session(0, 0), _session(0, 0)
    with publish._Report(StreamName("cams", "frm"), None) as report:
        report.see(first)  # nothing has been let through yet
        first.published_ms, first.packets, now_s = 10_400, 300, 10.0
        report.see(first)
        report.see(second)
        second.published_ms, second.packets, now_s = 9_700, 290, 20.0
        report.see(second)
    told = re.findall(r"cams/frm: (\S+) published, (\d+) packets", capsys.readouterr().err)
    assert told == [("10s", "300"), ("20s", "590")]
