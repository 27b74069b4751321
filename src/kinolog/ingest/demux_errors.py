"""FFmpeg's errors as kinolog's: one sentence that tells a person what is wrong."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import av.error

from kinolog.core.errors import KinologError, MediaError, Unavailable, UnsupportedCodec

_USERINFO = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(?<=\?)\S+")
_AWAY = frozenset(
    {
        errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EPIPE,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EAGAIN, errno.EBUSY,
    }
)  # fmt: skip
_MP4_BEGINS = (b"ftyp", b"mdat", b"wide")
_SENTENCES: tuple[tuple[type[BaseException], str, str], ...] = (
    (FileNotFoundError, "no such file or device", "check the path"),
    (PermissionError, "may not be read by this user", ""),
    (IsADirectoryError, "is a directory", "name a file in it"),
    (av.error.HTTPNotFoundError, "the server says 404 not found", "check the URL"),
    (av.error.HTTPUnauthorizedError, "the server asks for a user name and password", ""),
    (av.error.HTTPForbiddenError, "the server says 403 forbidden", ""),
    (av.error.HTTPClientError, "the server refuses the request", "check the URL"),
    (av.error.ProtocolNotFoundError, "a protocol that FFmpeg does not have here", ""),
    (av.error.DemuxerNotFoundError, "a format that FFmpeg does not have here", ""),
    (av.error.OptionNotFoundError, "an option that FFmpeg does not know", ""),
)
_AWAY_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "the connection was refused"),
    (ConnectionResetError, "the connection was reset"),
    (TimeoutError, "no answer in time"),
    (av.error.ExitError, "no answer in time"),
    (av.error.HTTPServerError, "the server reports an error of its own"),
)


def redacted(source: str) -> str:
    """A source's name without the secrets that a URL may hold: user, password, query."""
    bare = _USERINFO.sub("", source)
    return _QUERY.sub("…", bare) if "://" in bare else bare


def translated(
    error: Exception, source: str, *, pushed: bool = False, reading: bool = False
) -> KinologError:
    """The kinolog error for what was raised while `source` was read. `pushed`: it is a body that
    somebody sends. `reading`: after it was opened, so that its format is known."""
    name = redacted(source)
    if isinstance(error, KinologError):
        if reading and isinstance(error, MediaError) and not isinstance(error, UnsupportedCodec):
            return _damaged(name, str(error))
        return error
    for kind, sentence in _AWAY_SENTENCES:
        if isinstance(error, kind):
            return Unavailable(f"{name}: {sentence}", hint="is the source running?")
    for kind, sentence, hint in _SENTENCES:
        if isinstance(error, kind):
            return MediaError(f"{name}: {sentence}", hint=hint)
    if isinstance(error, av.error.InvalidDataError):
        return _damaged(name, str(error.strerror)) if reading else no_media(name, pushed=pushed)
    if pushed and not reading and isinstance(error, av.error.ArgumentError):
        # What FFmpeg says of a format that is not on the list
        return no_media(name, pushed=True)
    if isinstance(error, OSError) and error.errno == errno.EIO and "://" not in name:
        # What FFmpeg says of a Matroska file that is cut short
        return _damaged(name)
    if isinstance(error, OSError) and error.errno in _AWAY | {errno.EIO}:
        return Unavailable(f"{name}: {error.strerror}", hint="is the source running?")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return MediaError(f"{name}: {redacted(reason)}")


def no_media(name: str, *, pushed: bool = False) -> MediaError:
    """What cannot be opened as any media, by the name that a person knows."""
    if pushed:
        return MediaError(
            f"{name}: not MPEG-TS, fragmented MP4, Matroska/WebM or FLV, or damaged",
            hint="an MP4 that is pushed must be fragmented, or have its moov box first",
        )
    head = _head(name)
    if head == b"":
        return MediaError(f"{name} is empty", hint="name another file, or record it again")
    if head is not None and head[4:8] in _MP4_BEGINS:
        return MediaError(
            f"{name}: an MP4 that is cut short: it has no index (moov box), which comes last",
            hint="copy or record it again: without its index nothing of it can be played",
        )
    return MediaError(
        f"{name}: not a media format that FFmpeg knows, or damaged",
        hint="name another one; --format names the format where FFmpeg cannot tell",
    )


def say_published(error: MediaError, packets: int) -> None:
    """Add to the hint how much of a source was published before the error ended it."""
    if packets:
        before = f"what came before was published: {packets} packets"
        error.hint = f"{before}; {error.hint}" if error.hint else before


def _damaged(name: str, reason: str = "") -> MediaError:
    return MediaError(
        f"{name}: cut short or damaged{': ' + redacted(reason) if reason else ''}",
        hint="" if "://" in name else "copy or record it again",
    )


def _head(path: str) -> bytes | None:
    """The first bytes of a regular file, None for anything else."""
    file = Path(path)
    try:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            return opened.read(8)
    except (OSError, ValueError):
        return None
