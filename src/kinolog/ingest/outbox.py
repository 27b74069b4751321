"""What a session has sent and Kafka has not yet acknowledged, in order."""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Callable

from kinolog.core.errors import DeliveryFailed, KinologError
from kinolog.log.writer import LogWriter, Target
from kinolog.packager.writer import Chunk
from kinolog.record.pieces import split
from kinolog.timeline.events import ChunkEvent

Landed = Callable[[ChunkEvent], None]


class Sent:
    """A chunk under way; its records' offsets as they are acknowledged."""

    __slots__ = ("at", "chunk", "offsets", "sizes")

    def __init__(self, chunk: Chunk, sizes: tuple[int, ...], at: float) -> None:
        self.chunk = chunk
        self.sizes = sizes
        self.at = at
        self.offsets: list[int] = []


class Outbox:
    """Sends chunks, and keeps each until all its records are acknowledged.

    `on_landed` is told of acknowledged chunks in order. The first failure stops that, and all
    sending: what was acknowledged after it is part of the tail too, and the session settles what
    the log holds. A chunk that waits for longer than the writer's delivery timeout is a failure.
    """

    def __init__(self, writer: LogWriter, target: Target) -> None:
        self._writer = writer
        self._target = target
        self.on_landed: Landed = lambda _: None
        self._queue: deque[Sent] = deque()
        self._under_way = 0
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watching = False
        self.acked_offset = -1
        """Log offset of the newest record up to which everything is acknowledged, -1: none."""
        self.unacked_bytes = 0
        self.failure: KinologError | None = None
        self.producer = writer.generation
        """The generation of the producer that has what is under way."""

    def send(self, chunk: Chunk) -> None:
        """Queue a chunk's records, split where it is over a record's limit."""
        pieces = split(chunk.header, chunk.payload)
        sent = Sent(chunk, tuple(len(piece) for _, piece in pieces), self._loop.time())
        self._queue.append(sent)
        self.unacked_bytes += len(chunk.payload)
        self._heed_renewal()
        if self.failure is not None:
            return
        if not self._watching:
            self._watch(sent)
        for header, piece in pieces:
            self._under_way += 1
            done = self._report(sent)
            try:
                self._writer.send(self._target, header, bytes(piece), header.wall, done)
            except KinologError as error:
                self._under_way -= 1
                self._fail(error)

    def _heed_renewal(self) -> None:
        """Another session may have had the producer replaced, and its records' failures be on their
        way here still. Sent by the new one, chunks would land behind a hole (invariant 2)."""
        if self.failure is None and self.producer != self._writer.generation:
            if self._under_way:
                self._fail(DeliveryFailed("the producer was replaced"))
            else:
                self.producer = self._writer.generation

    def wake(self) -> None:
        """Let whoever waits for a change look again."""
        self._changed.set()

    def tail(self) -> list[Chunk]:
        """The chunks from the first that is not acknowledged on."""
        return [sent.chunk for sent in self._queue]

    async def changed(self, timeout_s: float) -> None:
        """Wait for an acknowledgement or a failure, at most so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def settled(self, timeout_s: float) -> bool:
        """Wait until nothing is under way; False where that takes too long."""
        deadline = self._loop.time() + timeout_s
        while self._under_way:
            left_s = deadline - self._loop.time()
            if left_s <= 0:
                return False
            await self.changed(left_s)
        return True

    async def delivered(self) -> bool:
        """Wait until all is acknowledged; False at the first failure (the delivery timeout is
        one, so this ends)."""
        while self._queue and self.failure is None:
            await self.changed(1.0)
        return self.failure is None

    def _watch(self, oldest: Sent) -> None:
        self._watching = True
        self._loop.call_at(oldest.at + self._writer.delivery_timeout_s, self._look)

    def _look(self) -> None:
        """The delivery timeout of what was the oldest chunk is over."""
        self._watching = False
        if not self._queue or self.failure is not None:
            return
        oldest = self._queue[0]
        if oldest.at + self._writer.delivery_timeout_s <= self._loop.time():
            self._fail(self._writer.overdue())
        else:
            self._watch(oldest)

    def _report(self, sent: Sent) -> Callable[[KinologError | None, int], None]:
        def done(error: KinologError | None, offset: int) -> None:
            self._under_way -= 1
            if error is not None:
                self._fail(error)
                return
            bisect.insort(sent.offsets, offset)  # an offset that had to be looked up comes late
            self._advance()

        return done

    def _advance(self) -> None:
        queue = self._queue
        while queue and self.failure is None:
            sent = queue[0]
            if len(sent.offsets) < len(sent.sizes):
                break
            queue.popleft()
            self.unacked_bytes -= len(sent.chunk.payload)
            self.acked_offset = sent.offsets[-1]
            self.on_landed(
                ChunkEvent(sent.chunk.header, sent.chunk.payload, tuple(sent.offsets), sent.sizes)
            )
        self._changed.set()

    def _fail(self, error: KinologError) -> None:
        if self.failure is None:
            self.failure = error
        self._changed.set()
