"""kill -9 of the ingest process while the page plays with hls.js in a browser."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.page_player import PagePlayer, summary
from test_failover_ingest import GOES_ON_WITHIN_S, encoder, make_film

from failover_kit import Roles, assert_nothing_lost, new_name, stream_of
from kinolog.cluster import Cluster
from kinolog.cluster.ports import free_port
from kinolog.core.names import StreamName

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

SECONDS = 30


@pytest.mark.slow
@pytest.mark.needs("chromium")
def test_the_page_goes_on_after_ingests_death(
    healthy_cluster3: Cluster,
    page_player: PagePlayer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One wait, no reload, and it plays 2 s after the first new keyframe at the latest."""
    film = make_film(tmp_path / "film.mkv", SECONDS)
    name = StreamName(new_name("page"), "cam")
    acks, port = tmp_path / "acks.jsonl", free_port()
    with Roles(healthy_cluster3.bootstrap_servers, tmp_path) as roles:
        ingest, _ = roles.ingest(port, acks)
        _, url = roles.edge()
        sender = encoder(roles, film, port, name)
        page_player.open(url, str(name))
        page_player.played(6, "6 s played")
        page_player.leaving()

        ingest.kill()
        roles.ingest(port, acks)
        page_player.played(8, "8 s played, over the kill")
        page_player.leaving()
        page_player.assert_it_went_on()
        sender.ended_well(60)

        with ThreadPoolExecutor(1) as aside:  # Playwright has an event loop of its own here
            found = aside.submit(stream_of, healthy_cluster3.bootstrap_servers, name).result()
        verdict = assert_nothing_lost(acks, found)
        assert len(found.opens) == 2, "the epoch did not change: this shows nothing"
        wait = page_player.page.evaluate("window.waits")[0]
        again = page_player.page.evaluate("window.plays")[-1]
        assert again["wall"] > wait["wall"]
        after_s = again["wall"] - found.opens[1].epoch / 1000
        with capsys.disabled():
            print(
                f"\ningest killed under hls.js: {verdict}; it waited "
                f"{again['wall'] - wait['wall']:.2f} s and played {after_s:.2f} s after the new "
                f"session began; {summary(page_player.seen[-1])}"
            )
        assert after_s < GOES_ON_WITHIN_S
