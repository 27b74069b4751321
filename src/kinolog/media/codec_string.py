"""The codecs parameter of MIME types and playlists (RFC 6381, and each codec's binding)."""

from __future__ import annotations

from kinolog.core.errors import MediaError
from kinolog.media import aac, av1, vp9
from kinolog.media.types import TrackFormat


def codec_string(format: TrackFormat) -> str:
    """`avc1.64001F`, `hvc1.1.6.L93.B0`, `av01.0.04M.08`, `vp09.00.31.08`, `mp4a.40.2`, `opus`.

    Made from the extradata alone (vp9 without any: from size and rate). MediaError where it
    is malformed.
    """
    match format.codec:
        case "h264":
            return _avc(format.extradata)
        case "hevc":
            return _hevc(format.extradata)
        case "av1":
            return _av1(av1.parse_record(format.extradata))
        case "vp9":
            return _vp9(vp9_record(format))
        case "aac":
            return f"mp4a.40.{aac.parse_config(format.extradata).object_type}"
        case "opus":
            return "opus"


def vp9_record(format: TrackFormat) -> vp9.Vp9Config:
    """The track's VP9 configuration; 8 bit 4:2:0 of unknown colour where it brings none."""
    if format.extradata:
        return vp9.parse_record(format.extradata)
    found = vp9.level(format.width, format.height, format.frame_rate)
    return vp9.Vp9Config(0, found, 8, 1, False, 2, 2, 2)


def _avc(config: bytes) -> str:
    """RFC 6381, 3.3: profile_idc, constraint flags, level_idc."""
    if len(config) < 7 or config[0] != 1:
        raise MediaError("not an AVC decoder configuration record")
    return f"avc1.{config[1:4].hex().upper()}"


def _hevc(config: bytes) -> str:
    """ISO/IEC 14496-15, annex E.3."""
    if len(config) < 23 or config[0] != 1:
        raise MediaError("not an HEVC decoder configuration record")
    space = ("", "A", "B", "C")[config[1] >> 6]
    compatibility = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)
    tier = "H" if config[1] & 0x20 else "L"
    constraints = config[6:12].rstrip(b"\0")
    tail = "".join(f".{byte:X}" for byte in constraints)
    return f"hvc1.{space}{config[1] & 31}.{compatibility:X}.{tier}{config[12]}{tail}"


def _av1(seq: av1.Av1Sequence) -> str:
    """AV1 binding, section 5; the optional fields together, or not at all where all are as
    they would be read without them (or unknown)."""
    head = f"av01.{seq.profile}.{seq.level:02}{'MH'[seq.tier]}.{seq.bit_depth:02}"
    across, down = seq.subsampling
    usual = (seq.colour in ((1, 1, 1), (2, 2, 2)) and not seq.full_range) and (
        not seq.monochrome and (across, down, seq.chroma_position) == (1, 1, 0)
    )
    if usual:
        return head
    primaries, transfer, matrix = seq.colour
    chroma = f"{across}{down}{seq.chroma_position if across and down else 0}"
    colour = f"{primaries:02}.{transfer:02}.{matrix:02}.{seq.full_range:d}"
    return f"{head}.{seq.monochrome:d}.{chroma}.{colour}"


def _vp9(config: vp9.Vp9Config) -> str:
    """VP codec binding, section 'Codecs Parameter String'; the long form where colour or
    chroma differ from its defaults."""
    head = f"vp09.{config.profile:02}.{config.level:02}.{config.bit_depth:02}"
    colour = (config.primaries, config.transfer, config.matrix)
    if config.chroma <= 1 and not config.full_range and colour in ((1, 1, 1), (2, 2, 2)):
        return head
    primaries, transfer, matrix = colour
    return (
        f"{head}.{config.chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}"
        f".{config.full_range:02d}"
    )
