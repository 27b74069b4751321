"""What a viewer of the past sees whose past is deleted under them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hls_stage import KINOLOG, Stage, stage, until
from kit.page_player import stats, watched
from kit.screen import shown, wait_for_pictures

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]

COLLECTION = "trimmed"
FPS = 30
SEGMENT_S = 2
SECONDS = 300
LEFT_S = 200
"""What was captured before is deleted."""
BUFFERED_S = 80
"""More than a player has loaded ahead, and plays until it is deleted."""
FASTER = 3
"""So many speeds up, that what was loaded is soon over."""
TRACKS = 2
AGAIN = 16
"""dash.js asks for what is missing so often at most, in four rounds."""
MODES = ("hls", "dash", "ws")


@dataclass(frozen=True)
class Played:
    stage: Stage
    edge: str
    begun_s: int


@pytest.fixture(scope="module", params=["away", "ended"])
def played(
    request: pytest.FixtureRequest, one_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    """A stream for each mode, in a partition of its own, in that state."""
    state = str(request.param)
    folder = tmp_path_factory.mktemp(f"page-retention-{state}")
    grace_s = 0.1 if state == "ended" else 3600
    (folder / "kinolog.toml").write_text(f"end_grace_s = {grace_s}\n")
    with stage(one_broker, folder) as found:
        run(found, "collections", "create", COLLECTION, "--partition-strategy", "dedicated")
        begun_s = int(time.time()) - 900
        for mode in MODES:
            found.published(f"{COLLECTION}/{mode}", f"seconds={SECONDS}", f"--at={begun_s}")
        edge = found.edge()
        found.rest(edge, state)
        yield Played(found, edge, begun_s)


def run(played: Stage, *words: str) -> None:
    kafka = ("--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix)
    subprocess.run([str(KINOLOG), *words, *kafka], timeout=60, check=True)


@pytest.mark.parametrize("mode", MODES)
def test_it_goes_on_with_what_is_left(played: Played, browser: Any, mode: str) -> None:
    """What was loaded is played; then what is kept, from its very beginning. Of what is not there,
    hardly anything is asked for."""
    stream = f"{COLLECTION}/{mode}"
    moment = f"mode={mode}&at={played.begun_s + 10}"
    missing: list[str] = []
    with watched(browser, f"{played.edge}/watch/{stream}?{moment}") as page:
        page.on("response", lambda one: missing.append(one.url) if one.status == 404 else None)
        wait_for_pictures(page, FPS)
        before = f"{played.begun_s + LEFT_S + 1}"
        run(played.stage, "streams", "trim", stream, "--before", before)
        for _ in range(FASTER):
            page.keyboard.press(">")
        until(lambda: shown(page)[-1].number > FPS * (LEFT_S + 5), "what is left", 120)
        pictures = [one.number for one in shown(page)]
        jumps = [(a, b) for a, b in pairwise(pictures) if b > a + 10 * FPS]
        print(mode, jumps, len(missing), sorted(set(missing)), stats(page)["phase"])
        assert len(jumps) == 1
        assert jumps[0][0] < FPS * (10 + BUFFERED_S)
        assert 0 <= jumps[0][1] - FPS * LEFT_S < FPS
    assert len(set(missing)) <= 2 * TRACKS
    assert len(missing) <= AGAIN * len(set(missing))
