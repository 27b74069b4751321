"""FFmpeg's errors as kinolog's: one sentence that tells a person what is wrong."""

from __future__ import annotations

import errno
import re

import av.error

from kinolog.core.errors import KinologError, MediaError, Unavailable

_USERINFO = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(?<=\?)\S+")
_AWAY = frozenset(
    {
        errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EPIPE,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EAGAIN, errno.EBUSY,
    }
)  # fmt: skip
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
    (
        av.error.InvalidDataError,
        "not a media format that FFmpeg knows, or damaged",
        "an MP4 that is pushed must be fragmented, or have its moov box first",
    ),
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


def translated(error: Exception, source: str) -> KinologError:
    """The kinolog error for what av raised while reading `source`."""
    if isinstance(error, KinologError):
        return error
    name = redacted(source)
    for kind, sentence in _AWAY_SENTENCES:
        if isinstance(error, kind):
            return Unavailable(f"{name}: {sentence}", hint="is the source running?")
    for kind, sentence, hint in _SENTENCES:
        if isinstance(error, kind):
            return MediaError(f"{name}: {sentence}", hint=hint)
    if isinstance(error, OSError) and error.errno == errno.EIO and "://" not in name:
        # What FFmpeg says of a Matroska file that is cut short
        return MediaError(f"{name}: ends in the middle, or is damaged")
    if isinstance(error, OSError) and error.errno in _AWAY | {errno.EIO}:
        return Unavailable(f"{name}: {error.strerror}", hint="is the source running?")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return MediaError(f"{name}: {redacted(reason)}")
