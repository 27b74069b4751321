"""The ack log: a line for every acknowledged chunk, so that what was promised can be checked.

None once a newer session has the stream: what lands behind its open, readers pass over. Where that
is another process's, lines are still written until the registry tells of it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

import msgspec

from kinolog.core.errors import ConfigError
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.record.header import Header

_log = get_logger("kinolog.ingest")


class AckLine(msgspec.Struct):
    """One acknowledged chunk: `offset` is its last record's, `acked_us` when ingest knew that it
    and every chunk before it was acknowledged (Unix microseconds; 0 in lines of older versions).
    """

    stream: str
    epoch: int
    track: str
    msn: int
    part: int
    chunk: int
    dts: int
    dur: int
    offset: int
    acked_us: int = 0


class AckLog:
    """JSON lines, appended and handed to the operating system at once: it outlives a kill -9.

    Where that takes no more (a full disk), the log ends, and says so; publishing goes on.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: IO[bytes] | None = path.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"cannot write the ack log {path}: {error.strerror}") from error
        self._path = path
        self._encode = msgspec.json.Encoder().encode

    def add(self, stream: StreamName, header: Header, offset: int) -> None:
        """A chunk's last record was acknowledged at this log offset."""
        line = AckLine(
            str(stream),
            header.epoch,
            header.track,
            header.msn,
            header.part,
            header.chunk,
            header.dts,
            header.dur,
            offset,
            time.time_ns() // 1000,
        )
        self._append(self._encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _append(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            written = self._file.write(line)
            if written == len(line):
                return
            self._file.truncate(os.fstat(self._file.fileno()).st_size - written)
            why = "the disk is full"
        except OSError as error:
            why = error.strerror or str(error)
        self._file.close()
        self._file = None
        _log.error(
            "the ack log ends here: what follows is published, not listed",
            path=str(self._path),
            reason=why,
        )


def read_ack_log(path: Path) -> list[AckLine]:
    """The whole lines of an ack log; one torn by a kill is left out."""
    lines = path.read_bytes().split(b"\n")
    return [msgspec.json.decode(line, type=AckLine) for line in lines[:-1]]
