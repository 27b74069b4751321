"""What a synthetic camera is asked for: the `test:` URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from urllib.parse import parse_qsl

from kinolog.core.errors import ConfigError
from kinolog.ingest.encode_video import VideoTarget, codec_names, parse_bitrate, parse_target
from kinolog.media.blockcode import NUMBER_LIMIT

_FORM = "test:1280x720@30?codec=h264&bitrate=3000k&gop=1&bframes=0&audio=1&seconds=60"
_NTSC = {"23.976", "23.98", "29.97", "47.95", "59.94", "119.88"}
_MAX_RATE = 240
_SIDES = (160, 90)  # the least that the card is read at
_MAX_SIDE = 7680


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """Size in pixels, frames a second, what to encode to, and how long (None: for ever)."""

    width: int = 1280
    height: int = 720
    frame_rate: Fraction = Fraction(30)
    target: VideoTarget = field(default_factory=lambda: VideoTarget("h264", light=True))
    audio: bool = True
    seconds: Fraction | None = None
    start_number: int = 0

    @property
    def caption(self) -> str:
        """What the picture says about itself."""
        rate = f"{float(self.frame_rate):.2f}".rstrip("0").rstrip(".")
        return f"{self.width}x{self.height}   {rate} fps   {self.target.codec}"


def parse_camera(url: str) -> CameraOptions:
    """`test:`, `test:640x360@25`, `test:?fps=25&codec=vp9`: see the message of the ConfigError
    that anything else raises."""
    if not url.startswith("test:"):
        raise _wrong(f"not a synthetic camera: {url!r}")
    place, _, query = url.removeprefix("test:").partition("?")
    fields = _place_fields(place)
    for key, value in _query_fields(query):
        if key in fields:
            raise _wrong(f"{key} is given twice in {url!r}")
        fields[key] = value
    parsed = {key: _PARSERS[key](value) for key, value in fields.items()}
    width, height = parsed.get("size", (1280, 720))
    target = VideoTarget(
        parsed.get("codec", "h264"),
        parsed.get("bitrate"),
        parsed.get("gop", Fraction(1)),
        parsed.get("bframes", 0),
        light=True,
    )
    return CameraOptions(
        width,
        height,
        parsed.get("fps", Fraction(30)),
        target,
        parsed.get("audio", True),
        parsed.get("seconds"),
        parsed.get("start_number", 0),
    )


def _place_fields(place: str) -> dict[str, str]:
    if not place:
        return {}
    size, at, rate = place.partition("@")
    fields = {"size": size} if size else {}
    return {**fields, "fps": rate} if at else fields


def _query_fields(query: str) -> list[tuple[str, str]]:
    try:
        fields = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise _wrong(f"not options: {query!r}") from None
    for key, _ in fields:
        if key not in _PARSERS:
            raise _wrong(f"unknown option {key!r}; there are {', '.join(_PARSERS)}")
    return fields


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not match:
        raise _wrong(f"not a size: {text!r}")
    width, height = int(match[1]), int(match[2])
    if min(width, height) < _SIDES[1] or width < _SIDES[0] or max(width, height) > _MAX_SIDE:
        raise _wrong(f"a size of {text} is outside 160x90 to {_MAX_SIDE}x{_MAX_SIDE}")
    if width % 2 or height % 2:
        raise _wrong(f"a size of {text} has an odd side, which 4:2:0 cannot hold")
    return width, height


def _rate(text: str) -> Fraction:
    rate = Fraction(round(float(text)) * 1000, 1001) if text in _NTSC else _fraction(text, "rate")
    if not 0 < rate <= _MAX_RATE:
        raise _wrong(f"a rate of {text} is outside 0 to {_MAX_RATE} frames a second")
    return rate


def _fraction(text: str, what: str) -> Fraction:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6}|/[0-9]{1,9})?", text):
        raise _wrong(f"not a {what}: {text!r}")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise _wrong(f"not a {what}: {text!r}") from None


def _whole(limit: int, what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) >= limit:
            raise _wrong(f"not a {what}: {text!r}")
        return int(text)

    return parse


def _seconds(text: str) -> Fraction:
    seconds = _fraction(text, "number of seconds")
    if not seconds:
        raise _wrong("0 seconds hold no frame")
    return seconds


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise _wrong(f"audio is 1 or 0, not {text!r}")
    return text == "1"


def _codec(text: str) -> str:
    if ":" in text:
        raise _wrong(f"not a codec: {text!r}; there are {codec_names()}")
    return parse_target(text).codec


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, hint=f"write it like {_FORM}")


_PARSERS: dict[str, Callable[[str], Any]] = {
    "size": _size,
    "fps": _rate,
    "codec": _codec,
    "bitrate": parse_bitrate,
    "gop": _seconds,
    "bframes": _whole(17, "number of B-frames"),
    "audio": _switch,
    "seconds": _seconds,
    "start_number": _whole(NUMBER_LIMIT, "frame number"),
}
