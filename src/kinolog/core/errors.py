"""The error tree. Each error says whether a retry can help, and what a person can do.

KinologError
├── InputError              what somebody sent or typed is wrong
│   ├── NameError_          a collection's or stream's name
│   ├── ConfigError         a setting, a flag, a file of settings
│   ├── MediaError          bytes that are not the video they claim to be
│   │   └── UnsupportedCodec
│   ├── NotFound            a stream, a collection, a time that is not kept
│   └── WireError           a record that is not kinolog's
├── Refused                 a publisher that may not go on
│   └── Replaced            a newer publisher took the name
├── Unavailable             the other side is away; retriable
│   ├── KafkaUnavailable
│   ├── ArchiveUnavailable  what Kafka has deleted cannot be read now
│   ├── DeliveryFailed      records that Kafka did not acknowledge
│   └── Overloaded          a bound was reached
├── KafkaRefused            credentials, rights or settings; a retry does not help
├── Conflict                somebody else changed the entry first; retriable
└── ClusterError            the embedded Kafka did not start, or died
"""

from __future__ import annotations


class KinologError(Exception):
    """Root of the tree. `str(error)` is one line for a person; `hint` says what to do next."""

    retriable = False
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(KinologError):
    """What somebody sent or typed is wrong."""

    exit_code = 2


class NameError_(InputError):  # noqa: N801 - NameError is taken by Python
    """A name outside `[a-z0-9-]{1,48}`, or with a slash too many."""


class ConfigError(InputError):
    """A setting that cannot be used."""


class MediaError(InputError):
    """Bytes that are not the video they claim to be."""


class UnsupportedCodec(MediaError):
    """A codec that kinolog does not carry."""


class NotFound(InputError):
    """A stream, collection or moment that is not kept."""


class WireError(InputError):
    """A record that does not follow docs/wire-format.md."""


class Refused(KinologError):
    """A publisher that may not go on."""


class Replaced(Refused):
    """A newer publisher took the name."""

    def __init__(
        self, message: str, *, hint: str = "publish under another name, or stop the other publisher"
    ) -> None:
        super().__init__(message, hint=hint)


class Unavailable(KinologError):
    """The other side is away for now."""

    retriable = True


class KafkaUnavailable(Unavailable):
    """No broker answers."""


class ArchiveUnavailable(Unavailable):
    """The archive does not answer, is not there, or is not readable; what Kafka has still is."""


class DeliveryFailed(Unavailable):
    """Kafka did not acknowledge a record in time."""


class Overloaded(Unavailable):
    """A bound was reached."""


class KafkaRefused(KinologError):
    """Kafka answered no: credentials, rights or settings."""


class Conflict(KinologError):
    """Somebody else changed the entry first."""

    retriable = True


class ClusterError(KinologError):
    """The embedded Kafka did not start, or died."""
