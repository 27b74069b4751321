"""What all viewers of an edge share, and what is known of a stream's tracks."""

from __future__ import annotations

from dataclasses import dataclass

from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.history import History
from kinolog.delivery.hub import Hub
from kinolog.delivery.leads import Leads
from kinolog.delivery.past import Past
from kinolog.delivery.ws.feed import Feeds
from kinolog.log.registry import Registry
from kinolog.record.control import Open


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts of an edge that the WebSocket viewers use."""

    hub: Hub
    history: History
    past: Past
    registry: Registry
    clock: Clock
    feeds: Feeds
    leads: Leads

    def session(self, channel: Channel, epoch: int) -> Open | None:
        """What an epoch opened with; None for one that nobody knows."""
        found = channel.live.session(epoch)
        if found is None:
            entry = self.registry.epochs.get(channel.name, {}).get(epoch)
            found = entry.open if entry is not None else None
        return found

    def sessions(self, name: StreamName) -> list[Open]:
        """All that are kept, oldest first."""
        epochs = self.registry.epochs.get(name, {})
        return [entry.open for _, entry in sorted(epochs.items())]

    def kinds(self, channel: Channel) -> dict[str, str]:
        """`video` or `audio` by the name of each track that the stream has or had, the newest
        session's first."""
        newest = [channel.live.open] if channel.live.open is not None else []
        opens = [*newest, *reversed(self.sessions(channel.name))]
        found: dict[str, str] = {}
        for session in opens:
            for track in session.tracks:
                found.setdefault(track.name, track.kind)
        return found

    def usual_tracks(self, channel: Channel) -> list[str]:
        """The first track of each kind of every session."""
        newest = [channel.live.open] if channel.live.open is not None else []
        found: dict[str, None] = {}
        for session in [*newest, *self.sessions(channel.name)]:
            for kind in ("video", "audio"):
                name = next((one.name for one in session.tracks if one.kind == kind), None)
                if name is not None:
                    found.setdefault(name)
        return list(found)
