"""LiveStream: the read model that delivery serves, fed with a stream's events in log order.

    live = LiveStream()
    for event in reader.feed(record):
        for track in live.apply(event):      # their playlists changed
            wake_who_waits_for(track)

A track's version is taken at the moment of the log at which a part, a segment or the session of
that track is finished, or the track falls silent; what happens to other tracks later does not
change it. So two edges that have read up to the same part say the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from kinolog.record.control import Open
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, GapEvent, Hole, Opened
from kinolog.timeline.segment import MICROSECONDS, Segment
from kinolog.timeline.track import WINDOW_MS, State, Track

_NOTHING: tuple[Track, ...] = ()


class LiveStream:
    """The live window of one stream. `tracks` are those of the session, then older listed ones.

    `state`: `live` while a session is open, `away` after its close (and before the first open),
    `ended` after its end.
    """

    def __init__(self, window_ms: int = WINDOW_MS) -> None:
        self.state: State = "away"
        self.epoch = -1
        self.open: Open | None = None
        self.tracks: dict[str, Track] = {}
        self.dropped_frames = 0
        """Frames that gap records named."""
        self._opens: dict[int, Open] = {}
        self._window_ms = window_ms

    @property
    def opens(self) -> Mapping[int, Open]:
        """The sessions of which the window holds something, and the newest, by epoch."""
        return self._opens

    def apply(self, event: Event) -> Sequence[Track]:
        """Take one event; the tracks that have a new version."""
        match event:
            case ChunkEvent():
                return self._chunk(event)
            case Hole():
                track = self.tracks.get(event.track)
                if track is not None:
                    track.hole(event.msn)
                return _NOTHING
            case Opened():
                return self._opened(event)
            case Closed():
                return self._stopped("away")
            case Ended():
                return self._stopped("ended")
            case GapEvent():
                self.dropped_frames += event.gap.frames
                return _NOTHING
            case _:
                assert_never(event)

    def find(self, track: str, epoch: int, msn: int) -> Segment | None:
        """The segment in memory with this name."""
        found = self.tracks.get(track)
        return found.find(epoch, msn) if found is not None else None

    def init_segment(self, track: str, epoch: int) -> bytes | None:
        """The CMAF init segment of a track of a session in the window."""
        session = self._opens.get(epoch)
        if session is None:
            return None
        for info in session.tracks:
            if info.name == track:
                return info.init
        return None

    def session(self, epoch: int) -> Open | None:
        """What a session in the window opened with."""
        return self._opens.get(epoch)

    def _chunk(self, event: ChunkEvent) -> Sequence[Track]:
        track = self.tracks.get(event.header.track)
        if track is None or event.header.msn == track.left_msn:
            return _NOTHING
        assert track.info is not None
        changed = [track] if track.add(event) else []
        duration_us = event.header.dur * MICROSECONDS // track.info.timescale
        for other in self.tracks.values():
            if other is not track:
                other.missed(track.name, duration_us)
                if other.info is not None and other.fall_silent():
                    changed.append(other)
        for item in changed:
            self._snapshot(item)
        return changed

    def _opened(self, event: Opened) -> Sequence[Track]:
        self._stop_tracks()
        self.state = "live"
        self.epoch = event.epoch
        self.open = event.open
        infos = {info.name: info for info in event.open.tracks}
        older = {name: track for name, track in self.tracks.items() if name not in infos}
        self.tracks = {
            name: self.tracks.get(name) or Track(name, self._window_ms) for name in infos
        } | older
        self._opens[event.epoch] = event.open
        for name, track in self.tracks.items():
            track.opened(event.epoch, event.open, infos.get(name))
        self._forget()
        return self._snapshot_all()

    def _stopped(self, state: State) -> Sequence[Track]:
        self._stop_tracks()
        self.state = state
        return self._snapshot_all()

    def _stop_tracks(self) -> None:
        for track in self.tracks.values():
            track.stop()

    def _snapshot_all(self) -> Sequence[Track]:
        tracks = tuple(self.tracks.values())
        for track in tracks:
            self._snapshot(track)
        return tracks

    def _snapshot(self, track: Track) -> None:
        reports = tuple(
            [
                other.report()
                for other in self.tracks.values()
                if other is not track and other.info is not None and other.segments
            ]
        )
        track.snapshot(self.state, reports)

    def _forget(self) -> None:
        """Sessions, and tracks of theirs, of which the window holds nothing any more."""
        listed = {
            segment.epoch
            for track in self.tracks.values()
            if track.info is not None
            for segment in (*track.retired, *track.segments)
        }
        listed.add(self.epoch)
        self._opens = {epoch: opened for epoch, opened in self._opens.items() if epoch in listed}
        self.tracks = {
            name: track
            for name, track in self.tracks.items()
            if track.info is not None or any(item.epoch in listed for item in track.segments)
        }
