"""The media of a source whose clock runs fast or slow part from the time of day: a moment is that
of the time of day, in each mode of the page."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hls_stage import Stage, stage, until
from kit.page_player import send_to, stats, watched
from kit.screen import shown

pytestmark = [pytest.mark.cluster, pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

MODES = ("hls", "dash", "ws")
FPS = 30
DRIFTED = """
import sys
from kinolog.ingest.wallclock import WallClock

made = WallClock.__init__

def drifted(self, **options):
    made(self, **options)
    self._offset_ms = {ahead_ms}

WallClock.__init__ = drifted
from kinolog.cli import main
sys.exit(main())
"""
"""`kinolog` as after hours of such a source: an offset grows by a millisecond a second at most."""
AHEAD_MS = {"slow": 700.0, "fast": -900.0}
"""By how much the time of day is ahead of the media."""


@pytest.fixture(scope="module")
def drift(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """An edge, and when the media begin (Unix s)."""
    folder = tmp_path_factory.mktemp("page-drift")
    with stage(one_broker, folder) as found:
        begun_s = int(time.time()) - 600
        for clock, ahead_ms in AHEAD_MS.items():
            publish(found, clock, ahead_ms, begun_s)
        yield found.edge(), begun_s


def publish(found: Stage, clock: str, ahead_ms: float, begun_s: int) -> None:
    words = ["publish", f"test:320x180@{FPS}?seconds=60&gop=2", f"drift/{clock}", "--fast"]
    program = (sys.executable, "-c", DRIFTED.format(ahead_ms=ahead_ms))
    assert found.start(*words, f"--at={begun_s}", program=program).wait(60) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("clock", AHEAD_MS)
def test_a_moment_is_that_of_the_time_of_day(
    drift: tuple[str, int], browser: Any, mode: str, clock: str
) -> None:
    edge, begun_s = drift
    with watched(browser, f"{edge}/watch/drift/{clock}?mode={mode}") as page:
        # First of all; within what is loaded; elsewhere.
        for moment_s in (20.5, 22.25, 47.75):
            wanted = round(FPS * (moment_s - AHEAD_MS[clock] / 1000))
            send_to(page, 1000 * (begun_s + moment_s), paused=moment_s == 20.5)
            until(
                lambda wanted=wanted: bool(
                    stats(page)["phase"] == "paused"
                    and shown(page)
                    and abs(shown(page)[-1].number - wanted) <= 1
                ),
                f"picture {wanted}",
            )
            said_s = datetime.fromisoformat(stats(page)["playing_date"]).timestamp() - begun_s
            assert said_s == pytest.approx(moment_s, abs=0.05)
