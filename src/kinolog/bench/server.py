"""A kinolog server as a process of its own, on free ports, for as long as a measurement takes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec

from kinolog.cluster.ports import free_port
from kinolog.core.errors import Unavailable
from kinolog.ingest.ack_log import AckLine, read_ack_log
from kinolog.log.client import KafkaSettings

_HOST = "127.0.0.1"
_READY_S = 30.0
_STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """One that is ready."""

    pid: int
    http: str
    """Base URL."""
    rtmp: str
    """Base URL; a stream's name goes behind it."""
    ack_log: Path

    def acks(self) -> list[AckLine]:
        """What it has acknowledged so far."""
        return read_ack_log(self.ack_log)

    async def publishers(self, wanted: int, timeout_s: float = 30.0) -> None:
        """Wait until so many publish. Raises Unavailable where that takes too long."""
        deadline = time.monotonic() + timeout_s
        while (found := await asyncio.to_thread(_ready, self.http)) != wanted:
            if time.monotonic() > deadline:
                raise Unavailable(f"{found}, not {wanted}, publish after {timeout_s:.0f} s")
            await asyncio.sleep(0.1)


@asynccontextmanager
async def running(
    verb: Literal["serve", "ingest", "edge"], kafka: KafkaSettings, kafka_config: Path | None
) -> AsyncIterator[Server]:
    """`kinolog VERB` with the same Kafka and otherwise default settings, ready; ended by SIGTERM.

    Raises Unavailable, with what it said last, where it does not come up.
    """
    http_port = free_port()
    rtmp_port = free_port({http_port})
    with TemporaryDirectory(prefix="kinolog-bench-") as folder:
        said, acks, config = (Path(folder, name) for name in ("log", "acks.jsonl", "kinolog.toml"))
        acks.touch()
        config.touch()  # empty, in place of one that is for the user's own servers
        properties = ["--kafka-config", str(kafka_config)] if kafka_config else []
        ingest = [] if verb == "edge" else ["--ack-log", str(acks), "--rtmp-port", str(rtmp_port)]
        with said.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kinolog", verb, "--config", str(config)),
                *("--bootstrap-servers", kafka.bootstrap_servers, *properties),
                *("--topic-prefix", kafka.prefix, "--http-port", str(http_port), *ingest),
                env={k: v for k, v in os.environ.items() if not k.startswith("KINOLOG_")},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            server = Server(
                process.pid, f"http://{_HOST}:{http_port}", f"rtmp://{_HOST}:{rtmp_port}", acks
            )
            await _until_ready(process, server, said)
            yield server
        finally:
            await _end(process)


async def _until_ready(process: asyncio.subprocess.Process, server: Server, said: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while await asyncio.to_thread(_ready, server.http) < 0:
        if process.returncode is not None or time.monotonic() > deadline:
            words = await asyncio.to_thread(said.read_text, errors="replace")
            raise Unavailable(f"the server to be measured did not come up: {words.strip()[-300:]}")
        await asyncio.sleep(0.1)


def _ready(base: str) -> int:
    """How many publish at a server; -1 while it is not ready."""
    try:
        with urllib.request.urlopen(f"{base}/ready", timeout=5) as answer:  # noqa: S310 - ours
            return int(msgspec.json.decode(answer.read()).get("publishers", 0))
    except OSError:
        return -1


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
