"""Kafka is away: reports are given up in time, and media that are in memory still come."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from hls_stage import fetch, stage, until
from prometheus_client.parser import text_string_to_metric_families

from kinolog.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

STREAM = "qoe-away/camera"


def dropped(edge: str) -> float:
    text = httpx.get(f"{edge}/metrics").text
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "kinolog_cmcd_dropped_total"
    )


def test_reports_never_hold_media_up(tmp_path: Path) -> None:
    with (
        Cluster.start(tmp_path / "own", 1, owned=True) as cluster,
        stage(cluster.bootstrap_servers, tmp_path) as played,
        httpx.Client(timeout=5) as client,
    ):
        played.published(STREAM, "seconds=4", "--at=-1m")
        edge = played.edge()
        base = f"{edge}/media/{STREAM}/"
        uri = fetch(client, f"{base}video.m3u8").segments[0].uri

        def report(sid: str) -> None:
            line = f'cid="{STREAM}",e=t,sid="{sid}",sta=p,ts={time.time() * 1000:.0f}'
            answer = client.post(f"{edge}/cmcd", content=line)
            assert answer.status_code == 204, answer.text

        report("before")
        until(lambda: client.get(f"{base}viewers").json()["viewers"] == 1, "the first report", 30)
        cluster.pause(1)
        try:
            slowest_s = 0.0
            for number in range(100):
                begin = time.monotonic()
                report(f"meanwhile-{number}")
                assert client.get(base + uri).status_code == 200
                slowest_s = max(slowest_s, time.monotonic() - begin)
            until(lambda: dropped(edge) == 100, "that they are given up", 60)
        finally:
            cluster.resume(1)
        print(f"slowest report and segment together: {1000 * slowest_s:.0f} ms")
        assert slowest_s < 2

        def again() -> bool:
            report(f"after-{time.monotonic()}")
            return bool(client.get(f"{base}viewers").json()["viewers"] > 1)

        until(again, "reports after Kafka's return", 60)
