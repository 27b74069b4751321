"""The edge's routes: `/media/…`, `/api/streams`, the page. Any edge answers for any stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import NotFound
from kinolog.core.names import StreamName
from kinolog.core.rsgi import HttpProtocol, Scope, SocketProtocol
from kinolog.core.units import rfc3339
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.kept_server import KeptServer
from kinolog.delivery.hub import Hub
from kinolog.delivery.listing import Listing
from kinolog.delivery.page.static import CONTENT_SECURITY_POLICY, Page
from kinolog.delivery.ws.server import SocketServer

_JSON: Final = ("content-type", "application/json")


_TEXT: Final = ("content-type", "text/plain; charset=utf-8")


class DeliveryProtocol(Protocol):
    """What answers for some of the paths below a stream's names."""

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `rest` of the path; False, and nothing done, where it is another's."""
        ...


class Edge:
    """Request handlers over one hub."""

    def __init__(
        self,
        hub: Hub,
        listing: Listing,
        protocols: Sequence[DeliveryProtocol],
        sockets: SocketServer,
        page: Page,
        kept: KeptServer,
        clock: Clock,
        told: Callable[[Scope, StreamName], None],
    ) -> None:
        """`told` hears of requests for media that say something of their player (CMCD)."""
        self._hub = hub
        self._listing = listing
        self._protocols = tuple(protocols)
        self._page = page
        self._kept = kept
        self._clock = clock
        self._sockets = sockets
        self._told = told

    async def media(self, scope: Scope, protocol: HttpProtocol) -> None:
        """`/media/{collection}/{stream}/…`."""
        parts = scope.path.split("/", 4)
        name = StreamName(*parts[2:4]) if len(parts) == 5 else None
        if (
            name is not None
            and parts[4].startswith("clips")
            and await self._kept.answer(scope, protocol, name, parts[4], self._channel)
        ):
            return
        if parts[4:] == ["events"]:
            if not answers.of_this_site(scope, protocol, "POST"):
                return
        elif answers.preflight(scope, protocol):
            return
        if name is None:
            answers.refuse(protocol, 404, "media is at /media/{collection}/{stream}/index.m3u8", 1)
            return
        channel = await self._channel(name)
        if channel is None:
            answers.refuse(protocol, 404, f"there is no stream {name}", 1)
            return
        if "CMCD=" in scope.query_string:
            self._told(scope, channel.name)
        rest = parts[4]
        for one in self._protocols:
            if await one.answer(scope, protocol, channel, rest):
                return
        if rest == "ws":
            answers.refuse(protocol, 426, "this is a WebSocket")
            return
        answers.refuse(protocol, 404, f"a stream has nothing called {rest[:120]!r}", 1)

    async def socket(self, scope: Scope, protocol: SocketProtocol) -> None:
        """`/media/{collection}/{stream}/ws`; 404 for any other WebSocket."""
        parts = scope.path.split("/", 4)
        channel = None
        if len(parts) == 5 and parts[1] == "media" and parts[4] == "ws":
            channel = await self._channel(StreamName(parts[2], parts[3]))
        if channel is None:
            protocol.close(404)
            return
        await self._sockets.answer(scope, protocol, channel)

    async def _channel(self, name: StreamName) -> Channel | None:
        """The stream, followed; None where there is none of that name."""
        channel = self._hub.channel(name)
        if channel is None:
            channel = await self._hub.join(StreamName.parse(str(name)))
        if channel is not None:
            channel.asked()
        return channel

    async def streams(self, scope: Scope, protocol: HttpProtocol) -> None:
        """`/api/streams`: what the page lists."""
        if answers.preflight(scope, protocol):
            return
        body, tag = await self._listing.body()
        headers = [*answers.CORS, _JSON, answers.NO_CACHE, ("etag", tag)]
        if answers.unchanged(scope, tag):
            protocol.response_empty(304, headers)
            return
        answers.send(scope, protocol, headers, body)

    async def time(self, scope: Scope, protocol: HttpProtocol) -> None:
        """`/time`: the time of day, for players that must know it (UTCTiming of DASH)."""
        if answers.preflight(scope, protocol):
            return
        body = rfc3339(self._clock.unix_ms()).encode()
        answers.send(scope, protocol, [*answers.CORS, _TEXT, answers.NO_STORE], body)

    async def page(self, scope: Scope, protocol: HttpProtocol) -> None:
        """The page's files."""
        if answers.preflight(scope, protocol):
            return
        found = self._page.get(scope.path)
        if found is None:
            answers.refuse(protocol, 404, f"nothing at {scope.path[:200]}", 1)
            return
        zipped = found.gzip_body is not None and answers.takes_gzip(scope)
        tag = found.gzip_etag if zipped else found.etag
        headers = [
            ("content-type", found.content_type),
            ("cache-control", found.cache_control),
            ("content-security-policy", CONTENT_SECURITY_POLICY),
            ("x-content-type-options", "nosniff"),
            ("etag", tag),
            ("vary", "accept-encoding"),
        ]
        if answers.unchanged(scope, tag):
            protocol.response_empty(304, headers)
        elif zipped and found.gzip_body is not None:
            headers.append(("content-encoding", "gzip"))
            answers.send(scope, protocol, headers, found.gzip_body)
        else:
            answers.send(scope, protocol, headers, found.body)


async def no_ingest(scope: Scope, protocol: HttpProtocol) -> None:
    """`/ingest/…` where no streams are taken in."""
    raise NotFound(
        "this is an edge, it takes no streams in",
        hint="publish to `kinolog ingest`, or to `kinolog serve`",
    )


def health(ready: Callable[[], dict[str, Any]]) -> Callable[[Scope, HttpProtocol], Any]:
    """`/health` (alive) and `/ready`: 200 while `ready()` has `ok`, else 503."""

    async def answer(scope: Scope, protocol: HttpProtocol) -> None:
        state = {"ok": True} if scope.path == "/health" else ready()
        status = 200 if state["ok"] else 503
        protocol.response_bytes(status, [_JSON, answers.NO_STORE], msgspec.json.encode(state))

    return answer
