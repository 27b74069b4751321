#!/usr/bin/env python3
"""Writes the pictures of the page into docs/images: its timeline at three zooms, on a desktop and
on a phone. Takes some minutes: a day of a camera is published first.

`.venv/bin/python scripts/make_pictures.py`, after `scripts/test` (it brings Playwright); Chromium
is the system's, or `playwright install chromium`'s.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
KINOLOG = str(Path(sys.executable).parent / "kinolog")
STREAM = "shop/door"
HOUR_S = 3600
# When sessions began and how long they were, in hours before now: a camera that was out some times.
SESSIONS = [(30.0, 9.0), (19.0, 6.0), (11.0, 6.5), (4.2, 3.55), (0.38, 0.2)]
MARKS = [
    (26.0, "the door opens", "detection"),
    (24.5, "delivery", "parcel"),
    (16.5, "the door opens", "detection"),
    (8.0, "the alarm rings", "alarm"),
    (7.1, "the door opens", "detection"),
    (2.2, "delivery", "parcel"),
    (0.83, "the door opens", "detection"),
    (0.72, "a person", "detection"),
    (0.3, "delivery", "parcel"),
]
LATE_MARKS = [
    (45, "the door opens", "detection"),
    (30, "a person", "detection"),
    (12, "delivery", "parcel"),
]
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 800},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run(*words: str) -> str:
    done = subprocess.run([KINOLOG, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"kinolog {' '.join(words)}: {done.stderr}")
    return done.stdout


@contextmanager
def started(folder: Path, *words: str) -> Iterator[None]:
    """A kinolog that runs on meanwhile."""
    with (folder / f"{words[0]}.log").open("w") as log:
        process = subprocess.Popen([KINOLOG, *words], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def stage(folder: Path) -> Iterator[str]:
    """An edge with a camera that has a past; its address."""
    data = f"--data-dir={folder / 'kafka'}"
    kafka = run("cluster", "start", data).split()[-1]
    servers = f"--bootstrap-servers={kafka}"
    http, rtmp = free_port(), free_port()
    ports = (f"--http-port={http}", f"--rtmp-port={rtmp}")
    try:
        run("collections", "create", "shop", "--retention", "7d", servers)
        now = time.time()
        for ago_h, hours in SESSIONS:
            at = int(now - ago_h * HOUR_S)
            print(f"publishing {hours} h of {ago_h} h ago", flush=True)
            source = f"test:320x180@1?seconds={int(hours * HOUR_S)}&audio=0"
            run("publish", source, STREAM, "--fast", f"--at={at}", servers)
        for ago_h, text, kind in MARKS:
            at = now - ago_h * HOUR_S
            run("events", "add", STREAM, text, f"--at={at:.0f}", f"--kind={kind}", servers)
        with (
            started(folder, "serve", *ports, servers),
            started(folder, "publish", "test:1280x720@30", STREAM, servers),
        ):
            edge = f"http://127.0.0.1:{http}"
            wait_for(lambda: live(edge), "the camera")
            time.sleep(75)  # so that the closest zoom has a minute of it
            for ago_s, text, kind in LATE_MARKS:
                at = time.time() - ago_s
                run("events", "add", STREAM, text, f"--at={at:.0f}", f"--kind={kind}", servers)
            yield edge
    finally:
        run("cluster", "stop", data)


def live(edge: str) -> bool:
    try:
        streams = httpx.get(f"{edge}/api/streams").json()["streams"]
        return any(one["state"] == "live" for one in streams)
    except httpx.HTTPError:
        return False


def wait_for(ask: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not ask():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come")
        time.sleep(0.5)


def opened(browser: Browser, edge: str, shape: dict[str, Any]) -> Page:
    page = browser.new_context(**shape, bypass_csp=True).new_page()
    page.goto(f"{edge}/watch/{STREAM}")
    page.wait_for_function("document.querySelector('video')?.currentTime > 2")
    page.locator(".timeline-bar").wait_for()
    return page


def pointed(page: Page) -> None:
    """At the middle of the longest that there is, with the picture of there."""
    boxes = [one.bounding_box() for one in page.locator(".timeline-data").all()]
    box = max((box for box in boxes if box is not None), key=lambda box: box["width"])
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.wait_for_function(
        "document.querySelector('.timeline-preview img')?.style.visibility === 'visible'"
    )


def picture(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.jpg"
    page.screenshot(path=path, type="jpeg", quality=80)
    print(f"{path.name}: {path.stat().st_size >> 10} KiB", flush=True)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="kinolog-pictures-"))
    system = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        with stage(folder) as edge, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
            for device, shape in (("desktop", DESKTOP), ("phone", PHONE)):
                page = opened(browser, edge, shape)
                for zoom in ("All", "1 h", "1 min"):
                    page.get_by_role("button", name=zoom, exact=True).click()
                    page.wait_for_timeout(1500)  # what it asks for then comes
                    pointed(page)
                    picture(page, f"timeline-{zoom.replace(' ', '').lower()}-{device}")
                page.context.close()
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
