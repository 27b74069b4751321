"""RTMP media messages made the events that a publication is fed with."""

from __future__ import annotations

from typing import cast

from kinolog.core.errors import MediaError
from kinolog.core.timebase import Unwrapper
from kinolog.ingest.rtmp import message as msg
from kinolog.ingest.rtmp.audio_tag import parse_audio
from kinolog.ingest.rtmp.foreign_sound import FOREIGN_CODECS, ForeignSound
from kinolog.ingest.rtmp.message import Message
from kinolog.ingest.rtmp.metadata import Metadata, parse_metadata
from kinolog.ingest.rtmp.nal_lengths import normal_record, widen
from kinolog.ingest.rtmp.track_clock import VIDEO_TIMESCALE, SampleGrid, video_ticks
from kinolog.ingest.rtmp.unit import Step, Unit
from kinolog.ingest.rtmp.video_tag import parse_video
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media import aac, opus
from kinolog.media.types import AUDIO_CODECS, VIDEO_CODECS, Codec, Packet, TrackFormat

_TEMPORAL_DELIMITER = b"\x12\x00"


class Tracks:
    """The tracks of one publication. Video track n is numbered 2n, audio track n is 2n + 1.

    `transcode_audio` False: sound that is not AAC or Opus is skipped.
    """

    def __init__(self, *, transcode_audio: bool = True) -> None:
        self._foreign_codecs = FOREIGN_CODECS if transcode_audio else {}
        # One counter for both: a wrap between an audio and a video message must not part them.
        self._unwrap = Unwrapper(32)
        self._metadata = Metadata()
        self._expected = 0
        self._video: dict[int, _VideoTrack] = {}
        self._audio: dict[int, _AudioTrack] = {}
        self._foreign: dict[int, ForeignSound] = {}
        self._skipped: set[tuple[int, str]] = set()

    def take(self, message: Message, events: list[SourceEvent]) -> None:
        """Append what an audio, video or data message says to `events`.

        Raises MediaError (RtmpError among them) for a malformed one.
        """
        if message.type_id == msg.DATA_AMF0:
            self._take_data(message, events)
            return
        time_ms = self._unwrap(message.timestamp)
        if message.type_id == msg.VIDEO:
            for unit in parse_video(message.payload):
                if unit.codec in VIDEO_CODECS:
                    self._take_video(unit, time_ms, events)
                else:
                    self._skip(2 * unit.track, unit.codec, events)
        elif message.type_id == msg.AUDIO:
            for unit in parse_audio(message.payload):
                if unit.codec in AUDIO_CODECS:
                    self._take_audio(unit, time_ms, events)
                elif unit.codec in self._foreign_codecs:
                    self._take_foreign(unit, time_ms, events)
                else:
                    self._skip(2 * unit.track + 1, unit.codec, events)

    def transcodes(self, message: Message) -> bool:
        """Whether `take` decodes and encodes for this message: milliseconds of work, which belong
        in a thread."""
        if message.type_id != msg.AUDIO or not self._foreign_codecs:
            return False
        try:
            return any(unit.codec in self._foreign_codecs for unit in parse_audio(message.payload))
        except MediaError:
            return False  # take() raises it

    def _take_data(self, message: Message, events: list[SourceEvent]) -> None:
        metadata = parse_metadata(message.payload)
        if metadata is None:
            return
        self._metadata = metadata
        if metadata.tracks and metadata.tracks != self._expected:
            self._expected = metadata.tracks
            events.append(Expect(metadata.tracks))

    def _take_video(self, unit: Unit, time_ms: int, events: list[SourceEvent]) -> None:
        track = self._video.get(unit.track)
        if track is None:
            track = self._video[unit.track] = _VideoTrack(2 * unit.track)
        if unit.step is Step.FRAME:
            track.frame(unit, time_ms, self._metadata, events)
        elif unit.step is Step.CONFIG:
            track.configure(unit.codec, bytes(unit.body), self._metadata, events)

    def _take_audio(self, unit: Unit, time_ms: int, events: list[SourceEvent]) -> None:
        track = self._audio.get(unit.track)
        if track is None:
            track = self._audio[unit.track] = _AudioTrack(2 * unit.track + 1)
        if unit.step is Step.FRAME:
            track.frame(unit, time_ms, events)
        elif unit.step is Step.CONFIG:
            track.configure(unit.codec, bytes(unit.body), events)

    def _take_foreign(self, unit: Unit, time_ms: int, events: list[SourceEvent]) -> None:
        if unit.step is not Step.FRAME or not unit.body:
            return
        sound = self._foreign.get(unit.track)
        if sound is None or sound.codec != unit.codec:
            if sound is not None:
                events += sound.finish()
            sound = self._foreign[unit.track] = ForeignSound(
                2 * unit.track + 1, unit.codec, unit.channels
            )
            events.append(Format(2 * unit.track + 1, sound.format))
        events += sound.take(unit, time_ms)

    def finish(self) -> list[SourceEvent]:
        """What encoders still held when the publication ended."""
        ended, self._foreign = self._foreign, {}
        return [event for sound in ended.values() for event in sound.finish()]

    def _skip(self, track: int, codec: str, events: list[SourceEvent]) -> None:
        if (track, codec) not in self._skipped and len(self._skipped) < 512:
            self._skipped.add((track, codec))
            events.append(Skipped(track, codec))


class _VideoTrack:
    """The configuration of one video track. Frames before it is known are dropped."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._codec = ""
        self._header = b""
        self._length_bytes = 4

    def configure(
        self, codec: str, header: bytes, metadata: Metadata, events: list[SourceEvent]
    ) -> None:
        """Take a sequence header; a Format event if it is not the one already known."""
        if codec == self._codec and header == self._header:
            return
        if not header and codec != "vp9":
            return  # a sequence header without a body says nothing
        extradata = header
        if codec in ("h264", "hevc"):
            extradata, self._length_bytes = normal_record(codec, header)
        elif codec == "vp9":
            extradata = _bare_vp_record(header)
        self._codec, self._header = codec, header
        video_format = TrackFormat(
            codec=cast(Codec, codec),
            timescale=VIDEO_TIMESCALE,
            extradata=extradata,
            width=metadata.width,
            height=metadata.height,
            frame_rate=metadata.frame_rate,
        )
        events.append(Format(self._number, video_format))

    def frame(
        self, unit: Unit, time_ms: int, metadata: Metadata, events: list[SourceEvent]
    ) -> None:
        """Take a coded frame stamped with its decode time."""
        if unit.codec == "vp9" and self._codec != "vp9":
            self.configure("vp9", b"", metadata, events)  # VP9 decodes without a header
        body = unit.body
        if unit.codec != self._codec or not body:
            return
        if self._length_bytes != 4 and unit.codec in ("h264", "hevc"):
            data = widen(body, self._length_bytes)
        else:
            data = bytes(body)
            if unit.codec == "av1":
                data = data.removeprefix(_TEMPORAL_DELIMITER)
        dts = video_ticks(time_ms, unit.nanoseconds)
        pts = dts + video_ticks(unit.composition_ms)
        events.append(Packet(self._number, dts, pts, None, unit.keyframe, data))


class _AudioTrack:
    """The configuration and sample grid of one audio track."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._codec = ""
        self._header = b""
        self._sample_rate = 0
        self._frame_samples = 0  # 0: each packet tells its own
        self._grid = SampleGrid(1)

    def configure(self, codec: str, header: bytes, events: list[SourceEvent]) -> None:
        """Take a sequence header; a Format event if it is not the one already known."""
        if (codec == self._codec and header == self._header) or not header:
            return
        sample_rate, channels, self._frame_samples = _audio_config(codec, header)
        if sample_rate != self._sample_rate:
            self._grid = SampleGrid(sample_rate)
        self._codec, self._header, self._sample_rate = codec, header, sample_rate
        audio_format = TrackFormat(
            codec=cast(Codec, codec),
            timescale=sample_rate,
            extradata=header,
            sample_rate=sample_rate,
            channels=channels,
        )
        events.append(Format(self._number, audio_format))

    def frame(self, unit: Unit, time_ms: int, events: list[SourceEvent]) -> None:
        """Take a coded frame; one before its header, or empty, is dropped."""
        if unit.codec != self._codec or not unit.body:
            return
        data = bytes(unit.body)
        duration = self._frame_samples or opus.packet_samples(data)
        start = self._grid.place(time_ms, unit.nanoseconds, duration)
        events.append(Packet(self._number, start, start, duration, True, data))


def _audio_config(codec: str, header: bytes) -> tuple[int, int, int]:
    """(sample rate in Hz, channels, samples of a frame) that a sequence header says."""
    if codec == "aac":
        config = aac.parse_config(header)
        return config.sample_rate, config.channels, config.frame_samples
    return opus.SAMPLE_RATE, opus.parse_head(header).channels, 0


def _bare_vp_record(header: bytes) -> bytes:
    """A VPCodecConfigurationRecord without the FullBox header that some senders leave before it."""
    return header[4:] if len(header) >= 12 and header.startswith(b"\x01\x00\x00\x00") else header
