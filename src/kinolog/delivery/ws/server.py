"""`/media/{collection}/{stream}/ws`: takes WebSockets up, and ends them."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qs

from kinolog.core.errors import InputError, Overloaded
from kinolog.core.rsgi import Scope, SocketProtocol
from kinolog.delivery.channel import Channel
from kinolog.delivery.ws.message import text
from kinolog.delivery.ws.stage import Stage
from kinolog.delivery.ws.viewer import Viewer, wish_of

MOST_SOCKETS: Final = 4096
_BEAT_S: Final = 5.0


class SocketServer:
    """The viewers by WebSocket of one edge."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._viewers: set[Viewer] = set()
        self._beating = asyncio.create_task(self._beat())

    async def answer(self, scope: Scope, protocol: SocketProtocol, channel: Channel) -> None:
        """`ws?start=&end=&speed=&tracks=`. Overloaded where there are too many."""
        if len(self._viewers) >= MOST_SOCKETS:
            raise Overloaded(f"{MOST_SOCKETS} WebSockets are open", hint="ask another edge")
        query = parse_qs(scope.query_string, keep_blank_values=True)
        socket = await protocol.accept()
        viewer = Viewer(self._stage, channel, socket)
        try:
            asked = once_each(query)
            if "dvr" in asked:
                raise InputError("a WebSocket has no window: ask for a start")
            wish = wish_of(
                asked.get("start", ""),
                asked.get("end", ""),
                asked.get("speed", "1"),
                asked.get("tracks", "").split(","),
                self._stage.clock.unix_ms(),
            )
            self._viewers.add(viewer)
            await viewer.run(wish)
        except InputError as error:
            hint = f": {error.hint}" if error.hint else ""
            await socket.send_str(text("error", code=400, message=f"{error}{hint}"))
        finally:
            self._viewers.discard(viewer)
            protocol.close()

    async def close(self) -> None:
        """End every connection."""
        self._beating.cancel()
        for viewer in tuple(self._viewers):
            viewer.end()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            for viewer in tuple(self._viewers):
                viewer.beat()


def once_each(query: dict[str, list[str]]) -> dict[str, str]:
    """The parameters by name. InputError where one that counts here stands twice."""
    for name in ("start", "end", "dvr", "speed", "tracks"):
        if len(query.get(name, ())) > 1:
            raise InputError(f"{name} stands twice")
    return {name: values[-1] for name, values in query.items()}
