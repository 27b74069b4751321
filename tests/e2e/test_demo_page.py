"""The demo as a person sees it: one command, then the page plays (and a screenshot shows it)."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.server import free_ports, kinolog, wait_for

from kinolog.delivery.page.static import Page

_START_S = 120.0
_PLAY_S = 20.0
_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
]
_CURRENT_TIME = "(document.querySelector('video') || {currentTime: 0}).currentTime"

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.cluster, pytest.mark.alone]


@pytest.fixture
def demo_page(tmp_path: Path) -> Iterator[str]:
    """`kinolog demo` on free ports; the address that it prints. Ctrl-C must end all of it."""
    assert Page.load().is_built, "the page is not built: run scripts/setup"
    http_port, rtmp_port = free_ports(2)
    log = tmp_path / "demo.log"
    with log.open("wb") as file:
        demo = subprocess.Popen(
            kinolog(
                *("demo", "--http-port", str(http_port), "--rtmp-port", str(rtmp_port)),
                # A small picture: Chromium draws in software here, beside the other tests' brokers.
                *("--data-dir", tmp_path / "state", "--source", "test:640x360@30"),
            ),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: "watch" in log.read_text() or demo.poll() is not None, "demo", _START_S)
        found = re.search(r"watch\s+(http://\S+)", log.read_text())
        assert found, log.read_text()
        yield found[1]
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_the_page_of_the_demo_plays_for_twenty_seconds(demo_page: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=_CHROMIUM
        )
        page = browser.new_context(
            bypass_csp=True, viewport={"width": 1280, "height": 800}
        ).new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(demo_page)
        page.wait_for_function(f"{_CURRENT_TIME} > 1 && !document.querySelector('video').seeking")
        before = page.evaluate("window.kinolog.stats()")
        begun, at = time.monotonic(), page.evaluate(_CURRENT_TIME)
        page.wait_for_function(
            f"{_CURRENT_TIME} >= {at + _PLAY_S}", timeout=3 * _PLAY_S * 1000, polling=50
        )
        took = time.monotonic() - begun
        after = page.evaluate("window.kinolog.stats()")
        page.screenshot(path=str(tmp_path / "watch.png"))
        browser.close()
    print(f"{_PLAY_S:g} s played in {took:.2f} s; {after}")
    assert after["stalls"] == before["stalls"]
    # Players nudge their rate to hold the latency: at most 1.1 to and fro.
    assert _PLAY_S / 1.15 <= took <= _PLAY_S * 1.15
    assert after["decoded"] - before["decoded"] > 0.8 * 30 * _PLAY_S
    assert errors == []
