"""What tests in a browser share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from kit.page_player import PagePlayer
from playwright.sync_api import sync_playwright

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page_player(browser: Any) -> Iterator[PagePlayer]:
    context = browser.new_context(bypass_csp=True)
    yield PagePlayer(context.new_page())
    context.close()
