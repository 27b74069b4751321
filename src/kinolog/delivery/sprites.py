"""Sprites: a sheet of pictures of a range, and the WebVTT that says where each one is.

`stills.jpg?start=&end=&every=10s`, `stills.webp`, and `stills.vtt`, whose cues count from `start`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, NotFound
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.core.units import duration_ms, show_duration
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.frame import MOST_BYTES, Frame, Frames
from kinolog.delivery.clip.server import clip_span
from kinolog.delivery.picture import Format, sheet
from kinolog.delivery.span import Span, is_relative, value_of
from kinolog.delivery.stills import Studio, width_of

MOST_PICTURES: Final = 400
MOST_EXACT: Final = 60
"""Of pictures that stand closer than keyframes do: each takes decoding of what is before it."""
COARSE_MS: Final = 2_000
"""From here on a picture is the keyframe before its moment."""
WIDTHS: Final = (80, 160, 240, 320)
MOST_PIXELS: Final = 16 << 20
_NAMES: Final = re.compile(r"stills(?:\.(jpg|webp|vtt))?")
_TYPES: Final = {"jpg": "image/jpeg", "webp": "image/webp", "vtt": "text/vtt; charset=utf-8"}


class Grid(NamedTuple):
    """Pictures of `width` by `height` pixels, one each `every_ms` from `start_ms` (Unix ms) on."""

    start_ms: int
    end_ms: int
    every_ms: int
    width: int
    height: int

    @property
    def times_ms(self) -> range:
        """The moments."""
        return range(self.start_ms, self.end_ms, self.every_ms)

    @property
    def columns(self) -> int:
        """Pictures in a row."""
        return min(len(self.times_ms), max(1, round(math.sqrt(len(self.times_ms)))))


class Sprites:
    """Answers for the channels of this process."""

    def __init__(self, frames: Frames, studio: Studio, clock: Clock) -> None:
        self._frames = frames
        self._studio = studio
        self._clock = clock

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """False where `rest` of the path is none of these."""
        named = _NAMES.fullmatch(rest)
        if named is None:
            return False
        ending = named[1] or "jpg"
        grid = self._grid(channel, scope.query_string)
        relative = is_relative(scope.query_string) or "end=" not in scope.query_string
        headers: Headers = [
            *answers.CORS,
            ("content-type", _TYPES[ending]),
            answers.NO_CACHE if relative else ("cache-control", "public, max-age=60"),
        ]
        if ending == "vtt":
            shown = await self._frames.shown(channel.name, channel, grid.times_ms)
            body = cues(grid, shown).encode()
        else:
            format: Format = "webp" if ending == "webp" else "jpeg"

            async def media() -> list[bytes | None]:
                return await self._media(channel, grid)

            body = await self._studio.make(
                (channel.name, grid, format),
                media,
                lambda found: sheet(found, grid.columns, grid.width, grid.height, format),
            )
        answers.send(scope, protocol, headers, body)
        return True

    def _grid(self, channel: Channel, query: str) -> Grid:
        start_ms, end_ms = clip_span(query, self._clock.unix_ms())
        every_ms = _every_ms(query)
        width = width_of(query, 160, WIDTHS)
        own_width, own_height = self._frames.size(channel.name)
        if not own_width:
            raise NotFound(f"{channel.name} has no pictures")
        height = max(2, round(own_height * width / own_width)) & ~1
        grid = Grid(start_ms, end_ms, every_ms, width, height)
        most = MOST_PICTURES if every_ms >= COARSE_MS else MOST_EXACT
        count = len(grid.times_ms)
        if count > most:
            least = show_duration(least_every_ms(end_ms - start_ms))
            raise InputError(
                f"these are {count} pictures, a sheet has at most {most}",
                hint=f"for this range every={least} or longer",
            )
        if count * width * height > MOST_PIXELS:
            raise InputError("the sheet would be too large", hint="ask for a smaller w")
        return grid

    async def _media(self, channel: Channel, grid: Grid) -> list[bytes | None]:
        name, times_ms = channel.name, grid.times_ms
        found: list[Frame | None] = []
        if grid.every_ms >= COARSE_MS:
            found = await self._frames.keyframes(name, channel, times_ms)
        else:
            for at_ms in times_ms:
                try:
                    found.append(await self._frames.at(name, channel, at_ms))
                except NotFound:
                    found.append(None)
        if not any(found):
            raise NotFound(f"of {name} no picture is kept of this range")
        sizes = {(frame.epoch, frame.pts): frame.movie.size for frame in found if frame is not None}
        if sum(sizes.values()) > MOST_BYTES:
            raise InputError(
                f"{sum(sizes.values()) >> 20} MB would have to be decoded for this sheet",
                hint="ask for fewer pictures"
                if grid.every_ms >= COARSE_MS
                else "ask for fewer pictures, or for keyframes: every=2s or longer",
            )
        read: dict[tuple[int, int], bytes] = {}
        media: list[bytes | None] = []
        for frame in found:
            if frame is None:
                media.append(None)
                continue
            key = (frame.epoch, frame.pts)
            if key not in read:
                read[key] = await self._frames.media(frame)
            media.append(read[key])
        return media


def least_every_ms(span_ms: int) -> int:
    """Whole seconds, in ms, at which a range of this length fits into one sheet."""
    seconds = -(-span_ms // (MOST_PICTURES * 1000))
    return max(seconds * 1000, COARSE_MS)


def cues(grid: Grid, shown: Sequence[bool]) -> str:
    """WebVTT: a cue for each moment at which something is shown, with where in the sheet (Media
    Fragments, `#xywh=`)."""
    begins = datetime.fromtimestamp(grid.start_ms / 1000, UTC)
    span = Span(grid.start_ms, grid.end_ms).query
    address = f"stills.jpg?{span}&every={grid.every_ms}ms&w={grid.width}"
    lines = [f"WEBVTT\n\nNOTE from {begins.isoformat(timespec='milliseconds')}\n"]
    for index, at_ms in enumerate(grid.times_ms):
        if not shown[index]:
            continue
        since, until = at_ms - grid.start_ms, min(at_ms + grid.every_ms, grid.end_ms)
        row, column = divmod(index, grid.columns)
        where = f"{column * grid.width},{row * grid.height},{grid.width},{grid.height}"
        lines.append(
            f"{_clock(since)} --> {_clock(until - grid.start_ms)}\n{address}#xywh={where}\n"
        )
    return "\n".join(lines)


def _clock(ms: int) -> str:
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _every_ms(query: str) -> int:
    wanted = value_of(query, "every")
    try:
        found = duration_ms("10s" if wanted is None else wanted)
    except InputError as error:
        raise InputError(f"every: {error}", hint=error.hint) from error
    if found < 10:
        raise InputError("every is a length of 10 ms at least", hint="for example every=10s")
    return found
