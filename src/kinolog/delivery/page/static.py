"""The page's files, read once into memory; a request is a dictionary look-up and no I/O."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from kinolog.core.errors import ConfigError

DIST: Final = Path(__file__).parent / "dist"
MAX_PAGE_BYTES: Final = 16_000_000
MAX_PAGE_FILES: Final = 500
# A compressed body must save this share, or it is not worth a second copy in memory.
WORTH_COMPRESSING: Final = 0.9

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"

# hls.js attaches its media as a blob: URL and may run its worker from one; all else is our own.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_TEXTUAL: Final = frozenset({".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt"})
# Vite writes hashed names into assets/ alone: name-HASH.ext, eight of base64url.
_HASHED: Final = re.compile(r"/assets/[^/]+-[A-Za-z0-9_-]{8}\.[a-z0-9]+")
_WATCH: Final = re.compile(r"/watch/[^/]{1,48}/[^/]{1,48}/?")

_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>kinolog: the page is not built</title>
<meta name="viewport" content="width=device-width">
<h1>The page is not built</h1>
<p>This edge serves media, but the files of its page are missing. In a checkout, run</p>
<pre>scripts/setup</pre>
<p>and start the edge again. A wheel of kinolog carries the page already.</p>
<p>Streams are listed at <a href="/api/streams">/api/streams</a>, and each plays from
<code>/media/COLLECTION/STREAM/index.m3u8</code>.</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it goes out. `gzip_body` is None where compressing saves too little.

    The entity tags are strong and differ by coding (RFC 9110, 8.8.3.3).
    """

    body: bytes
    gzip_body: bytes | None
    content_type: str
    etag: str
    gzip_etag: str
    cache_control: str


class Page:
    """The built page by URL path: `/`, `/watch/…` and the assets."""

    def __init__(self, files: Mapping[str, StaticFile], *, is_built: bool) -> None:
        self._files = MappingProxyType(dict(files))
        self.is_built = is_built

    @classmethod
    def load(cls, folder: Path = DIST) -> Page:
        """Read `folder` whole; where it was never built, a page that says how to.

        ConfigError if the folder is far larger than any build of ours.
        """
        if not (folder / "index.html").is_file():
            return cls({"/index.html": _static_file("/index.html", _NOT_BUILT)}, is_built=False)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        size_bytes = sum(path.stat().st_size for path in paths)
        if len(paths) > MAX_PAGE_FILES or size_bytes > MAX_PAGE_BYTES:
            raise ConfigError(
                f"the page's folder {folder} has {len(paths)} files of {size_bytes:,} bytes",
                hint="something else is in it; remove it and run scripts/setup",
            )
        files = {}
        for path in paths:
            url_path = "/" + path.relative_to(folder).as_posix()
            files[url_path] = _static_file(url_path, path.read_bytes())
        return cls(files, is_built=True)

    def get(self, path: str) -> StaticFile | None:
        """The file for a URL path without its query, or None.

        The page routes by itself, so `/` and `/watch/{collection}/{stream}` are index.html.
        """
        if path == "/" or _WATCH.fullmatch(path):
            path = "/index.html"
        return self._files.get(path)


def _static_file(url_path: str, body: bytes) -> StaticFile:
    suffix = Path(url_path).suffix
    packed = None
    if suffix in _TEXTUAL:
        # mtime=0: every edge compresses to the same bytes.
        packed = gzip.compress(body, compresslevel=9, mtime=0)
        if len(packed) > WORTH_COMPRESSING * len(body):
            packed = None
    tag = hashlib.sha256(body).hexdigest()[:32]
    return StaticFile(
        body=body,
        gzip_body=packed,
        content_type=_TYPES.get(suffix, "application/octet-stream"),
        etag=f'"{tag}"',
        gzip_etag=f'"{tag}-gzip"',
        cache_control=IMMUTABLE if _HASHED.fullmatch(url_path) else REVALIDATE,
    )
