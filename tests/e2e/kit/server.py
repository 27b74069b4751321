"""`kinolog serve` as a real process on free ports, against a Kafka that runs already."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from kinolog.cluster.ports import free_port

HOST = "127.0.0.1"
_READY_S = 60.0
_STOP_S = 60.0


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on now, and that no outgoing connection is given."""
    ports: list[int] = []
    while len(ports) < count:
        ports.append(free_port(ports))
    return ports


def kinolog(*arguments: str | Path) -> list[str]:
    """A command line of kinolog in this environment."""
    return [str(Path(sys.executable).with_name("kinolog")), *map(str, arguments)]


def run(command: Sequence[str], timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run to the end; the exit code and what it said are the caller's to check."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
    )


def run_well(command: Sequence[str], timeout_s: float = 120.0) -> str:
    """Run to the end; its standard output. Fails the test where the exit code is not 0."""
    done = run(command, timeout_s)
    assert done.returncode == 0, f"{command}\n{done.stderr[-4000:]}"
    return done.stdout


def wait_for(condition: object, what: str, timeout_s: float = 30.0) -> None:
    """Poll `condition()` until it is true; fails the test after `timeout_s`."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.05)


class Server:
    """A `kinolog serve` process."""

    def __init__(self, bootstrap: str, folder: Path, *flags: str, verb: str = "serve") -> None:
        """Starts it; `flags` are further command line arguments."""
        folder.mkdir(parents=True, exist_ok=True)
        self.http_port, self.rtmp_port = free_ports(2)
        self.bootstrap = bootstrap
        self._scheme = "https" if "--tls-cert" in flags else "http"
        self.ack_log = folder / "acks.jsonl"
        self.log_path = folder / "server.log"
        ports = ["--http-port", str(self.http_port)]
        if verb != "edge":
            ports += ["--rtmp-port", str(self.rtmp_port), "--ack-log", str(self.ack_log)]
        command = kinolog(verb, "--bootstrap-servers", bootstrap, *ports, *flags)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def http(self) -> str:
        """Base URL."""
        return f"{self._scheme}://{HOST}:{self.http_port}"

    def ingest_url(self, stream: str) -> str:
        """Where to PUT a stream."""
        return f"{self.http}/ingest/{stream}"

    def rtmp_url(self, stream: str) -> str:
        """Where to publish a stream by RTMP."""
        return f"rtmp://{HOST}:{self.rtmp_port}/{stream}"

    def playlist_url(self, stream: str) -> str:
        """The multivariant playlist."""
        return f"{self.http}/media/{stream}/index.m3u8"

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the process now."""
        return psutil.Process(self.process.pid).memory_info().rss

    def log_text(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text(errors="replace")

    def ready(self) -> bool:
        """Whether /ready says 200."""
        assert self.process.poll() is None, f"the server died:\n{self.log_text()[-4000:]}"
        try:
            return httpx.get(f"{self.http}/ready", timeout=5, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def publishers(self) -> int:
        """How many publish now; one counts until its close is in the log."""
        answer = httpx.get(f"{self.http}/ready", timeout=10, verify=False)
        return int(answer.json()["publishers"])

    def wait_idle(self, publishers: int = 0) -> None:
        """Wait until all but so many publishers have closed."""
        wait_for(lambda: self._at_most(publishers), "the publishers' close")

    def _at_most(self, publishers: int) -> bool:
        try:
            return self.publishers() <= publishers
        except httpx.TransportError:  # a busy server answers later
            return False

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def serving(bootstrap: str, folder: Path, *flags: str, verb: str = "serve") -> Iterator[Server]:
    """A server that is ready; it must end by SIGTERM with exit code 0 and without a traceback."""
    server = Server(bootstrap, folder, *flags, verb=verb)
    try:
        wait_for(server.ready, "/ready", _READY_S)
        yield server
    finally:
        code = server.stop()
    assert code == 0, server.log_text()[-4000:]
    assert "Traceback" not in server.log_text(), server.log_text()[-8000:]
