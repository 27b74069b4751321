"""Spool: long columns of numbers, of which little is in memory.

    spool = Spool(most_bytes=1 << 30)
    sizes = spool.column("I")
    sizes.extend(array)  ...  sizes.values(0, 100)

A column of a few thousand numbers is in memory alone. What is longer goes, in blocks, to one file
without a name: it is gone with the spool, and with the process.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from array import array
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kinolog.core.errors import InputError, Overloaded

Numbers = npt.NDArray[Any]
BLOCK: Final = 4096
"""Numbers of a block."""


class Room:
    """Bytes of disk that all spools together may take."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """So much more. Overloaded where there is not so much."""
        with self._lock:
            if size > self._left:
                raise Overloaded("too many long clips are being sent", hint="try again later")
            self._left -= size

    def give(self, size: int) -> None:
        """So much less."""
        with self._lock:
            self._left += size


class _File:
    """The file of a spool: made when it is first written to."""

    def __init__(self, room: Room | None) -> None:
        self.size = 0
        self._room = room
        self._fd = -1

    def write(self, data: bytes) -> int:
        """Append; where it is."""
        if self._room is not None:
            self._room.take(len(data))
        at = self.size
        self.size += len(data)
        left = memoryview(data)
        try:
            if self._fd < 0:
                with tempfile.TemporaryFile(buffering=0) as file:
                    self._fd = os.dup(file.fileno())
            while left:
                left = left[os.pwrite(self._fd, left, self.size - len(left)) :]
        except OSError as error:
            raise Overloaded(
                f"no room for the tables of a long clip in {tempfile.gettempdir()}: "
                f"{error.strerror}",
                hint="set TMPDIR to a folder with some gigabytes",
            ) from error
        return at

    def read(self, at: int, size: int) -> bytes:
        """What is there."""
        return os.pread(self._fd, size, at)

    def close(self) -> None:
        """Give the disk back."""
        if self._room is not None:
            self._room.give(self.size)
        self.size = 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Spool:
    """Columns that share a file. InputError where they take more than `most_bytes`."""

    def __init__(
        self, most_bytes: int = 1 << 62, room: Room | None = None, why: str = "that is too long"
    ) -> None:
        """`why`: the error's sentence."""
        self._file = _File(room)
        self._most_bytes = most_bytes
        self._why = why
        self._columns: weakref.WeakSet[Column] = weakref.WeakSet()
        self._closing = weakref.finalize(self, self._file.close)

    def column(self, code: str) -> Column:
        """An empty column of numbers of this type (of `array`)."""
        column = Column(self, code)
        self._columns.add(column)
        return column

    @property
    def held_bytes(self) -> int:
        """Roughly what it takes of memory."""
        return sum(column.held_bytes for column in self._columns)

    @property
    def stored_bytes(self) -> int:
        """What it takes of the disk."""
        return self._file.size

    def write(self, data: bytes) -> int:
        """A block; where it is in the file."""
        if self._file.size + len(data) > self._most_bytes:
            raise InputError(self._why, hint="ask for a shorter range")
        return self._file.write(data)

    def read(self, at: int, size: int) -> bytes:
        """A block that was written."""
        return self._file.read(at, size)

    def close(self) -> None:
        """Let go of the file; columns cannot be read any more."""
        self._closing()


class Column:
    """Numbers, one after the other; appended by one thread, then read by any."""

    def __init__(self, spool: Spool, code: str) -> None:
        self._spool = spool
        self._tail = array(code)
        self._dtype = np.dtype(code)
        self._blocks = array("q")
        self._kept: tuple[int, Numbers] = (-1, np.zeros(0, self._dtype))

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._tail)

    @property
    def held_bytes(self) -> int:
        """Roughly what it takes of memory."""
        return self._tail.itemsize * (len(self._tail) + len(self._kept[1])) + 8 * len(self._blocks)

    def append(self, value: int) -> None:
        """One more."""
        self._tail.append(value)
        if len(self._tail) >= BLOCK:
            self._store()

    def extend(self, values: Numbers | Iterable[int]) -> None:
        """Some more."""
        if isinstance(values, np.ndarray):
            self._tail.frombytes(values.astype(self._dtype).tobytes())
        else:
            self._tail.extend(values)
        if len(self._tail) >= BLOCK:
            self._store()

    def _store(self) -> None:
        stop = 0
        while len(self._tail) - stop >= BLOCK:
            block = self._tail[stop : stop + BLOCK]
            self._blocks.append(self._spool.write(block.tobytes()))
            stop += BLOCK
        del self._tail[:stop]

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, place = divmod(index, BLOCK)
        return int(self._block(number)[place])

    def values(self, start: int, stop: int) -> Numbers:
        """The numbers [start, stop)."""
        parts = []
        stop = min(stop, len(self))
        while start < stop:
            number, place = divmod(start, BLOCK)
            part = self._block(number)[place : place + stop - start]
            parts.append(part)
            start += len(part)
        if len(parts) == 1:
            return parts[0].copy()
        return np.concatenate(parts) if parts else np.zeros(0, self._dtype)

    def _block(self, number: int) -> Numbers:
        if number >= len(self._blocks):
            return np.array(self._tail, self._dtype)
        kept = self._kept  # another thread may put another there meanwhile
        if kept[0] != number:
            data = self._spool.read(self._blocks[number], BLOCK * self._tail.itemsize)
            kept = self._kept = (number, np.frombuffer(data, self._dtype))
        return kept[1]
