"""Feed: what is appended to a stream, as messages, made once for all who watch it live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from kinolog.delivery.channel import Channel
from kinolog.delivery.ws.message import Item, chunk_item, text
from kinolog.record.control import OpenTrack
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, GapEvent, Opened
from kinolog.timeline.segment import Chunk, Segment

MOST_TRACKS: Final = 256
"""A track's number is a byte."""
Tracks = dict[str, tuple[int, OpenTrack]]
"""By name, with the number in the epoch."""


class Follower(Protocol):
    """Who watches a stream live."""

    def offer(self, item: Item) -> None:
        """A chunk was appended."""
        ...

    def tell(self, message: str) -> None:
        """Something happened to the stream."""
        ...

    def lost(self) -> None:
        """The channel is closed: nothing more comes of it."""
        ...


class Feed:
    """A channel's events as messages. Follows it while somebody follows the feed."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._followers: list[Follower] = []
        self._unwatch: Callable[[], None] | None = None
        self._epoch = -1
        self._tracks: Tracks = {}

    def add(self, follower: Follower) -> None:
        """Tell of all that is appended from now on."""
        if self._unwatch is None:
            self._unwatch = self.channel.watch(self._take)
        self._followers.append(follower)

    def remove(self, follower: Follower) -> bool:
        """Tell no more; nothing where it was not told. Whether nobody is told any more."""
        if follower in self._followers:
            self._followers.remove(follower)
        if self._followers:
            return False
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        return True

    def _take(self, event: Event | None) -> None:
        match event:
            case ChunkEvent():
                self._chunk(event)
            case Closed():
                self._tell(text("away", epoch=event.epoch, reason=event.reason))
            case Ended():
                self._tell(text("ended", epoch=event.epoch))
            case GapEvent():
                gap = event.gap
                self._tell(
                    text(
                        "gap",
                        epoch=event.epoch,
                        track=gap.track,
                        from_dts=gap.from_dts,
                        to_dts=gap.to_dts,
                        frames=gap.frames,
                    )
                )
            case Opened():
                self._tracks = {}
            case None:
                followers, self._followers = self._followers, []
                for follower in followers:
                    follower.lost()
            case _:  # a hole shows in the numbers of the chunks
                pass

    def _chunk(self, event: ChunkEvent) -> None:
        header = event.header
        if header.epoch != self._epoch or not self._tracks:
            self._epoch = header.epoch
            self._tracks = tracks_of(self.channel, header.epoch)
        found = self._tracks.get(header.track)
        if found is None:
            return
        size = len(event.payload)
        chunk = Chunk(
            header.part, header.chunk, header.dts, header.dur, header.wall, size, header.ind
        )
        item = chunk_item(*found, header.epoch, header.msn, chunk, event.payload)
        for follower in tuple(self._followers):
            follower.offer(item)

    def _tell(self, message: str) -> None:
        for follower in tuple(self._followers):
            follower.tell(message)


class Feeds:
    """The feed of each channel that is watched live."""

    def __init__(self) -> None:
        self._feeds: dict[Channel, Feed] = {}

    def add(self, channel: Channel, follower: Follower) -> None:
        """Tell of all that is appended from now on; at once that it is lost where it is closed."""
        if channel.closed:
            follower.lost()
            return
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel)
        feed.add(follower)

    def remove(self, channel: Channel, follower: Follower) -> None:
        """Tell no more."""
        feed = self._feeds.get(channel)
        if feed is not None and feed.remove(follower):
            del self._feeds[channel]


def tracks_of(channel: Channel, epoch: int) -> Tracks:
    """The tracks of an epoch in the channel's window."""
    session = channel.live.session(epoch)
    tracks = session.tracks if session is not None else ()
    return {track.name: (number, track) for number, track in enumerate(tracks[:MOST_TRACKS])}


def items_of(segment: Segment, number: int, track: OpenTrack) -> list[Item]:
    """The messages of what came of a segment so far."""
    return [
        chunk_item(number, track, segment.epoch, segment.msn, chunk, payload)
        for chunk, payload in segment.chunks()
    ]
