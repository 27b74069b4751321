"""Access units of a source made into samples as kinolog keeps them (media/types.py).

    normaliser(template) -> Normaliser        (normaliser.py)
    Normaliser.format: TrackFormat | None     None until the stream has told its configuration
    Normaliser(data) -> list[Unit]            what one packet of the source holds
    Normaliser.reconfigure(extradata)         the container announced another configuration

H.264 and HEVC: see nal_samples.py. All raise MediaError for what cannot be used.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from kinolog.media import aac, av1, opus, vp9
from kinolog.media.describe import describe
from kinolog.media.types import TrackFormat


class Unit(NamedTuple):
    """A sample. `samples`: its length in audio samples (0 for video). `format`: the track's
    format from this sample on, where it became known or changed with it."""

    data: bytes
    keyframe: bool
    samples: int = 0
    format: TrackFormat | None = None


class Normaliser(Protocol):
    """One track's conversion; it remembers the configuration in force."""

    format: TrackFormat | None

    def __call__(self, data: bytes) -> list[Unit]:
        """The samples of one packet of the source, in order; none where it only configures."""
        ...

    def reconfigure(self, extradata: bytes) -> None:
        """Take over a configuration that the container announced, for what comes next."""
        ...


class Av1Samples:
    """Temporal units without their delimiters; the configuration from sequence headers."""

    def __init__(self, template: TrackFormat) -> None:
        self._template = template
        self._sequence: bytes | None = None
        self.format: TrackFormat | None = None
        if template.extradata:
            self.reconfigure(template.extradata)

    def reconfigure(self, extradata: bytes) -> None:
        """`extradata` is an av1C, or a bare sequence header OBU."""
        found = av1.find_sequence(extradata[4:] if extradata[0] == 0x81 else extradata)
        if found and found != self._sequence:
            self._adopt(found)

    def _adopt(self, sequence: bytes) -> TrackFormat:
        self._sequence = sequence
        self.format = _described(self._template, av1.config_record(sequence))
        return self.format

    def __call__(self, data: bytes) -> list[Unit]:
        sample = av1.to_sample(data)
        if not sample:
            return []
        if not av1.is_keyframe(sample):
            return [Unit(sample, False)]
        found = av1.find_sequence(sample)
        changed = self._adopt(found) if found and found != self._sequence else None
        return [Unit(sample, True, 0, changed)]


class Vp9Samples:
    """Frames as they are; the configuration from keyframes, as containers leave it out."""

    def __init__(self, template: TrackFormat) -> None:
        self._template = msgspec.structs.replace(template, extradata=b"")
        self.format: TrackFormat | None = None

    def reconfigure(self, extradata: bytes) -> None:
        """What containers say is not needed."""

    def __call__(self, data: bytes) -> list[Unit]:
        first = vp9.split_superframe(data)[0]
        header = vp9.parse_header(first)
        if not header.keyframe:
            return [Unit(data, False)]
        config = vp9.vp9_config(first, self._template.frame_rate)
        found = msgspec.structs.replace(
            self._template, extradata=config.record(), width=header.width, height=header.height
        )
        if found == self.format:
            return [Unit(data, True)]
        self.format = found
        return [Unit(data, True, 0, found)]


class AacSamples:
    """Raw AAC frames; ADTS headers are taken off and say the configuration."""

    def __init__(self, template: TrackFormat) -> None:
        self._template = template
        self._adts = not template.extradata
        self._header: tuple[int, int, int] | None = None
        self._samples = 0
        self.format: TrackFormat | None = None
        if template.extradata:
            self.reconfigure(template.extradata)

    def reconfigure(self, extradata: bytes) -> None:
        """`extradata` is an AudioSpecificConfig."""
        if not extradata or (self.format and self.format.extradata == extradata):
            return
        config = aac.parse_config(extradata)
        self._samples = config.frame_samples
        self.format = msgspec.structs.replace(
            self._template,
            extradata=extradata,
            timescale=config.sample_rate,
            sample_rate=config.sample_rate,
            channels=config.channels or self._template.channels,
        )

    def __call__(self, data: bytes) -> list[Unit]:
        if not self._adts:
            return [Unit(data, True, self._samples)]
        header, frames = aac.strip_adts(data)
        changed = None
        if header[:3] != self._header:
            self._header = header[:3]
            self.reconfigure(header.config())
            changed = self.format
        units = [Unit(frame, True, self._samples) for frame in frames if frame]
        if units and changed:
            units[0] = units[0]._replace(format=changed)
        return units


class OpusSamples:
    """Opus packets as they are; each tells its own duration."""

    def __init__(self, template: TrackFormat) -> None:
        self._template = msgspec.structs.replace(
            template, timescale=opus.SAMPLE_RATE, sample_rate=opus.SAMPLE_RATE
        )
        self.format: TrackFormat | None = None
        self.reconfigure(template.extradata or opus.default_head(template.channels or 2))

    def reconfigure(self, extradata: bytes) -> None:
        """`extradata` is an OpusHead."""
        config = opus.parse_head(extradata)
        self.format = msgspec.structs.replace(
            self._template, extradata=config.head(), channels=config.channels
        )

    def __call__(self, data: bytes) -> list[Unit]:
        return [Unit(data, True, opus.packet_samples(data))]


def _described(template: TrackFormat, extradata: bytes) -> TrackFormat:
    """The template with a configuration and the picture size that it tells."""
    bare = msgspec.structs.replace(template, extradata=extradata, width=0, height=0)
    return describe(bare)
