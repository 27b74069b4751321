"""The page's files: what is served under which path, with which headers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from kinolog.core.errors import ConfigError
from kinolog.delivery.page import CONTENT_SECURITY_POLICY, Page, static

INDEX = b"<!doctype html><title>kinolog</title>" + b"<p>word word word</p>" * 20
SCRIPT = b"export const answer = 42;\n" * 50


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(INDEX)
    (tmp_path / "favicon.svg").write_bytes(b"<svg/>")
    (tmp_path / "assets" / "main-Bx7_k-2Q.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "plain.js").write_bytes(SCRIPT)
    return tmp_path


@pytest.mark.parametrize("path", ["/", "/index.html", "/watch/demo/camera", "/watch/a/b/"])
def test_the_pages_own_routes_are_the_index(dist: Path, path: str) -> None:
    found = Page.load(dist).get(path)
    assert found is not None
    assert found.body == INDEX
    assert found.content_type == "text/html; charset=utf-8"
    assert found.cache_control == "no-cache"


def test_a_hashed_asset_never_changes_and_another_is_asked_for_again(dist: Path) -> None:
    page = Page.load(dist)
    hashed, plain = page.get("/assets/main-Bx7_k-2Q.js"), page.get("/assets/plain.js")
    assert hashed is not None
    assert plain is not None
    assert hashed.cache_control == "public, max-age=31536000, immutable"
    assert plain.cache_control == "no-cache"
    assert hashed.content_type == "text/javascript; charset=utf-8"


def test_the_gzip_body_is_the_same_file_under_another_tag(dist: Path) -> None:
    found = Page.load(dist).get("/assets/plain.js")
    assert found is not None
    assert found.gzip_body is not None
    assert gzip.decompress(found.gzip_body) == SCRIPT
    assert len(found.gzip_body) < len(SCRIPT)
    assert found.etag != found.gzip_etag
    assert all(tag.startswith('"') and tag.endswith('"') for tag in (found.etag, found.gzip_etag))


def test_two_edges_answer_alike(dist: Path) -> None:
    assert Page.load(dist).get("/") == Page.load(dist).get("/")


def test_a_tag_follows_the_bytes(dist: Path) -> None:
    before = Page.load(dist).get("/")
    (dist / "index.html").write_bytes(INDEX + b"!")
    after = Page.load(dist).get("/")
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_what_gzip_does_not_shrink_is_kept_once(dist: Path) -> None:
    found = Page.load(dist).get("/favicon.svg")
    assert found is not None
    assert found.gzip_body is None
    assert found.content_type == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/missing.js",
        "/assets/",
        "/watch",
        "/watch/demo",
        "/watch/demo/camera/more",
        "/../static.py",
        "/assets/../../static.py",
        "//index.html",
        "",
    ],
)
def test_anything_else_is_not_found(dist: Path, path: str) -> None:
    assert Page.load(dist).get(path) is None


def test_a_page_never_built_says_how_to_build_it(tmp_path: Path) -> None:
    page = Page.load(tmp_path / "dist")
    found = page.get("/watch/demo/camera")
    assert not page.is_built
    assert found is not None
    assert b"scripts/setup" in found.body
    assert page.get("/assets/main.js") is None


def test_a_folder_larger_than_any_build_is_refused(
    dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "MAX_PAGE_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"4 files of 2,\d\d\d|4 files of 3,\d\d\d"):
        Page.load(dist)


def test_the_policy_lets_the_player_work_and_nothing_from_elsewhere() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert "blob:" in rules["media-src"]
    assert rules["script-src"] == "'self'"
    assert "http" not in CONTENT_SECURITY_POLICY
