"""H.264 and HEVC access units: 4-byte lengths, parameter sets in the configuration only.

Parameter sets inside access units are compared, byte for byte, with the configuration in
force. Equal ones are taken out (avc1 and hvc1 want them in the sample entry); others make a
new configuration at the next keyframe. Between keyframes they stay in the sample, where
decoders take them too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from kinolog.core.errors import MediaError
from kinolog.media import h264, hevc
from kinolog.media.bits import BitReader
from kinolog.media.describe import describe
from kinolog.media.nal import is_annexb, join_lengths, split_annexb, split_lengths, unescape
from kinolog.media.samples import Unit
from kinolog.media.types import TrackFormat

MAX_PENDING = 64

# (type of parameter set, its id) -> NAL unit
Sets = dict[tuple[int, int], bytes]


class _Grammar(NamedTuple):
    """What differs between the two codecs."""

    set_types: tuple[int, ...]
    aud: int
    unit_type: Callable[[bytes], int]
    is_picture: Callable[[int], bool]
    starts: Callable[[Sequence[bytes], bool], bool]
    build: Callable[..., bytes]
    parse: Callable[[bytes], h264.AvcConfig | hevc.HevcConfig]


def _h264_starts(units: Sequence[bytes], open_gop: bool) -> bool:
    types = [unit[0] & 31 for unit in units]
    if h264.IDR in types:
        return True
    if not open_gop or h264.SEI not in types:
        return False
    return any(
        kind == h264.SEI and h264.has_recovery_point(unit)
        for kind, unit in zip(types, units, strict=True)
    )


def _hevc_starts(units: Sequence[bytes], open_gop: bool) -> bool:
    for unit in units:
        kind = unit[0] >> 1 & 63
        if kind < 32:  # the first slice speaks for the picture
            return hevc.is_idr(kind) or (open_gop and hevc.is_open_start(kind))
    return False


_H264 = _Grammar(
    (h264.SPS, h264.PPS), h264.AUD, h264.unit_type, lambda kind: 1 <= kind <= 5,
    _h264_starts, h264.build_avcc, h264.parse_avcc,
)  # fmt: skip
_HEVC = _Grammar(
    hevc.PARAMETER_SETS, hevc.AUD, hevc.unit_type, lambda kind: kind < 32,
    _hevc_starts, hevc.build_hvcc, hevc.parse_hvcc,
)  # fmt: skip


class NalSamples:
    """One track's conversion; a Normaliser (samples.py)."""

    def __init__(self, template: TrackFormat, *, open_gop: bool = True) -> None:
        self._template = template
        self._open_gop = open_gop
        self._grammar = _H264 if template.codec == "h264" else _HEVC
        self._length_bytes = 0  # 0: Annex B
        self._sets: Sets = {}
        self._overridden: set[tuple[int, int]] = set()
        self._pending: list[bytes] = []
        self.format: TrackFormat | None = None
        if template.extradata:
            self.reconfigure(template.extradata)

    def reconfigure(self, extradata: bytes) -> None:
        """`extradata` is an avcC or hvcC, or parameter sets in Annex B."""
        if is_annexb(extradata):
            units = split_annexb(extradata)
        else:
            config = self._grammar.parse(extradata)
            self._length_bytes = config.length_bytes
            units = [unit for units in config[1:] for unit in units]
        found = self._sets_in(units)
        if self._complete(found) and found != self._sets:
            self._adopt(found)

    def __call__(self, data: bytes) -> list[Unit]:
        if self._length_bytes:
            units = split_lengths(data, self._length_bytes)
        else:
            units = split_annexb(data)
        grammar = self._grammar
        kinds = [grammar.unit_type(unit) for unit in units]
        if not any(map(grammar.is_picture, kinds)):
            self._hold(units)
            return []
        extra = grammar.aud in kinds or any(kind in kinds for kind in grammar.set_types)
        if not extra and not self._pending:
            keyframe = grammar.starts(units, self._open_gop)
            same = self._length_bytes == 4
            return [Unit(data if same else join_lengths(units), keyframe)]
        units = self._pending + units
        self._pending = []
        return [self._with_sets(units)]

    def _hold(self, units: Sequence[bytes]) -> None:
        """Parameter sets and messages that came without a picture belong to the next one."""
        self._pending += units
        if len(self._pending) > MAX_PENDING:
            raise MediaError(f"{self._template.codec}: {MAX_PENDING} NAL units without a picture")

    def _with_sets(self, units: Sequence[bytes]) -> Unit:
        grammar = self._grammar
        keyframe = grammar.starts(units, self._open_gop)
        found = self._sets_in(units)
        changed = {key: unit for key, unit in found.items() if self._sets.get(key) != unit}
        new_format = None
        if changed and (keyframe or not self._sets):
            merged = found if self._complete(found) else {**self._sets, **found}
            if self._complete(merged):
                new_format = self._try_adopt(merged)
        elif changed:
            self._overridden |= changed.keys()
        kept = [unit for unit in units if self._stays(unit)]
        if keyframe:
            self._overridden.clear()
        return Unit(join_lengths(kept), keyframe, 0, new_format)

    def _stays(self, unit: bytes) -> bool:
        kind = self._grammar.unit_type(unit)
        if kind == self._grammar.aud:
            return False
        if kind not in self._grammar.set_types:
            return True
        key = _key(kind, unit)
        return key is None or key in self._overridden or self._sets.get(key) != unit

    def _sets_in(self, units: Sequence[bytes]) -> Sets:
        found: Sets = {}
        for unit in units:
            kind = self._grammar.unit_type(unit)
            if kind in self._grammar.set_types and (key := _key(kind, unit)) is not None:
                found[key] = unit
        return found

    def _complete(self, sets: Sets) -> bool:
        return {kind for kind, _ in sets} == set(self._grammar.set_types)

    def _try_adopt(self, sets: Sets) -> TrackFormat | None:
        """A set that does not parse is what a lossy network makes of one: keep what works."""
        try:
            return self._adopt(sets)
        except MediaError:
            return None

    def _adopt(self, sets: Sets) -> TrackFormat:
        arrays = [
            [unit for key, unit in sorted(sets.items()) if key[0] == kind]
            for kind in self._grammar.set_types
        ]
        bare = msgspec.structs.replace(
            self._template, extradata=self._grammar.build(*arrays), width=0, height=0
        )
        self.format = describe(bare)
        self._sets = sets
        self._overridden.clear()
        return self.format


def _key(kind: int, unit: bytes) -> tuple[int, int] | None:
    """The type and id of a parameter set; None for one too short to have an id.

    H.264: seq_parameter_set_id follows three bytes of profile and level, pic_parameter_set_id
    comes first. HEVC: vps_video_parameter_set_id is four bits, pps_pic_parameter_set_id comes
    first, sps_seq_parameter_set_id follows profile_tier_level, of which only streams of one
    SPS exist in practice, so it counts as 0.
    """
    try:
        if kind == h264.SPS:
            return kind, BitReader(unescape(unit[1:20])[3:]).ue()
        if kind == h264.PPS:
            return kind, BitReader(unescape(unit[1:12])).ue()
        if kind == hevc.VPS:
            return kind, BitReader(unit[2:3]).u(4)
        if kind == hevc.PPS:
            return kind, BitReader(unescape(unit[2:12])).ue()
    except MediaError:
        return None
    return kind, 0
