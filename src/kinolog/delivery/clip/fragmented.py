"""Fragmented: a clip as a fragmented MP4, a fragment of each piece of a media segment that is in
clip.mp4: of most segments one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kinolog.core.errors import InputError
from kinolog.delivery.clip.body import Reader
from kinolog.delivery.clip.changes import moments
from kinolog.delivery.clip.clip import Clip
from kinolog.media.fragments import fragment_head, fragment_size, fragmented_head


class FragmentedClip:
    """The file of a clip; `tag`: an entity tag. InputError where a track changes its parameters:
    FFmpeg passes over fragments of another sample description than the first (8.8.7), and so do
    most players."""

    def __init__(self, clip: Clip) -> None:
        for one in clip.tracks.values():
            if len(one.track.inits) > 1:
                own = [change for change in clip.changes if change.name == one.info.name]
                raise InputError(
                    f"{one.info.name} changes its parameters in this range, which players do not "
                    f"take in a fragmented MP4: at {', '.join(moments(own))}",
                    hint="ask for clip.mp4, or for a part of the range",
                )
        self.clip = clip
        self.tag = f'"f{clip.tag[1:]}'
        tracks = [one.track for one in clip.tracks.values()]
        self._ids = {number: place for place, number in enumerate(clip.tracks, 1)}
        self._head = fragmented_head(tracks, clip.timescale, clip.length, clip.begins_ms // 1000)
        self.size = self._begins(len(clip.body))

    def _begins(self, number: int) -> int:
        """Where the fragment of this number begins."""
        size, samples = self.clip.body.until(number)
        return (
            len(self._head)
            + size
            + number * fragment_size(0)
            + fragment_size(samples)
            - (fragment_size(0))
        )

    async def read(self, reader: Reader, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of the file."""
        if start < len(self._head):
            yield self._head[start : min(stop, len(self._head))]
        if stop <= len(self._head):
            return
        body = self.clip.body
        numbers = range(1, len(body) + 1)
        number = bisect_right(numbers, start, key=self._begins)
        last = bisect_right(numbers, stop - 1, key=self._begins)
        at = self._begins(number)
        async with aclosing(body.pieces(reader, number, body.until(last + 1)[0])) as pieces:
            async for data in pieces:
                for part in (self._fragment(number), data):
                    wanted = part[max(0, start - at) : max(0, stop - at)]
                    at += len(part)
                    if wanted:
                        yield wanted
                number += 1

    def _fragment(self, number: int) -> bytes:
        part = self.clip.body.part(number)
        track = self.clip.tracks[part.track].track
        samples = track.tables.some(part.first, part.stop)
        return fragment_head(
            number + 1, self._ids[part.track], part.description, samples, track.later
        )
