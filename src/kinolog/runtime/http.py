"""The HTTP server: granian in this process's event loop, and the routes by path prefix."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from granian._granian import ListenerSpec
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP2Settings
from granian.server.embed import Server

from kinolog.core.errors import ConfigError, KinologError, NotFound
from kinolog.core.log import get_logger
from kinolog.core.rsgi import Handler, HttpProtocol, Scope, SocketHandler, SocketProtocol
from kinolog.runtime.settings import Settings

BACKLOG = 8_192
BACKPRESSURE = 16_384
"""Connections at once: a waiting LL-HLS viewer holds four by HTTP/1.1 (measured: granian's default
of 1,024 refuses from 250 viewers on)."""

STUCK_S = 30
"""A viewer that takes nothing for so long is cut off: until then each of its connections costs a
body (HTTP/1.1 is answered one request at a time), or as many as it has streams in HTTP/2."""

_STREAMS = 100
"""Requests at once in a connection of HTTP/2: the least that RFC 9113, 6.5.2 recommends."""
_UNSENT_BYTES = 256 << 10
"""What the kernel takes of a body beyond what is on its way: megabytes by default."""
_PING_MS = 15_000
_HEADERS_BYTES = 64 << 10
_MOST_URL = 4096
_READY_S = 10.0
_HOST_HINT = "--host is 127.0.0.1, 0.0.0.0 for all addresses, or another of this machine"
_log = get_logger("kinolog.http")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where to listen. With `cert` and `key` (PEM files): TLS, HTTP/1.1 and HTTP/2 by ALPN.

    ConfigError where only one of the two is given, or they cannot be used.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.cert is not None or self.key is not None:
            _check_pair(self.cert, self.key)

    @classmethod
    def of(cls, settings: Settings) -> HttpSettings:
        """Those of a role. ConfigError where TLS lacks a file."""
        return cls(settings.host, settings.http_port, settings.tls_cert, settings.tls_key)

    @property
    def url(self) -> str:
        """The address for people."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"{'https' if self.cert else 'http'}://{host}:{self.port}"


def _check_pair(cert: Path | None, key: Path | None) -> None:
    if cert is None or key is None:
        given, other = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        raise ConfigError(
            f"{given} without {other}: TLS needs the certificate and its key",
            hint=f"add {other} FILE, or leave {given} out to serve plain HTTP",
        )
    for flag, path in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise ConfigError(
                f"{flag}: cannot read {path}: {error.strerror}",
                hint="name a PEM file that this user may read",
            ) from error
    try:
        # The empty password: OpenSSL would ask at the terminal for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"--tls-cert {cert} and --tls-key {key} cannot be used: {_tls_reason(error)}",
            hint="TLS needs a PEM certificate chain and its own PEM private key, not encrypted",
        ) from error


def _tls_reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    if "PEM" in reason or "NO_START_LINE" in reason or not reason:
        return "not PEM, or encrypted"
    return str(reason).replace("_", " ").lower()


class Router:
    """Handlers by path; one that ends in a slash is for all that begins so, the longest first.
    `sockets` takes every WebSocket."""

    def __init__(
        self, routes: Sequence[tuple[str, Handler]], sockets: SocketHandler | None = None
    ) -> None:
        self._sockets = sockets
        self._routes = sorted(routes, key=lambda route: -len(route[0]))
        self.requests = {route: 0 for route, _ in self._routes}
        """How many there were of each route."""

    async def __rsgi__(self, scope: Scope, protocol: HttpProtocol | SocketProtocol) -> None:
        """Answer a request."""
        if scope.proto == "ws":
            await self._socket(scope, cast(SocketProtocol, protocol))
        else:
            await self._answer(scope, cast(HttpProtocol, protocol))

    async def _socket(self, scope: Scope, protocol: SocketProtocol) -> None:
        if self._sockets is None or len(scope.path) + len(scope.query_string) > _MOST_URL:
            protocol.close(404 if self._sockets is None else 414)
            return
        try:
            await self._sockets(scope, protocol)
        except KinologError as error:
            protocol.close(_status(error))
        except Exception:
            _log.exception("socket failed", path=scope.path)
            protocol.close(500)

    async def _answer(self, scope: Scope, protocol: HttpProtocol) -> None:
        path = scope.path
        if len(path) + len(scope.query_string) > _MOST_URL:
            # Handlers remember what they have parsed.
            _answer(protocol, 414, f"a URL has at most {_MOST_URL} characters")
            return
        for route, handler in self._routes:
            if path == route or (route[-1] == "/" and path.startswith(route)):
                self.requests[route] += 1
                try:
                    await handler(scope, protocol)
                except KinologError as error:
                    _answer_error(protocol, error)
                except Exception:
                    _log.exception("request failed", path=path)
                    _answer(protocol, 500, "this is a defect of kinolog; its log says more")
                return
        protocol.response_str(404, [("content-type", "text/plain")], f"nothing at {path[:200]}\n")


def _status(error: KinologError) -> int:
    return 503 if error.retriable else 404 if isinstance(error, NotFound) else 400


def _answer_error(protocol: HttpProtocol, error: KinologError) -> None:
    _answer(protocol, _status(error), f"{error}{': ' + error.hint if error.hint else ''}")


def _answer(protocol: HttpProtocol, status: int, text: str) -> None:
    headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]
    headers.append(("access-control-allow-origin", "*"))
    if status == 503:
        headers.append(("retry-after", "2"))
    protocol.response_str(status, headers, f"{text}\n")


class _Server(Server):
    """granian, cutting off peers that take nothing: it has no such setting of its own."""

    def _init_shared_socket(self) -> None:
        if sys.platform != "linux":
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        # What is set on the listening socket holds for the connections that it accepts.
        holder: Any = ListenerSpec(self.bind_addr, self.bind_port, self.backlog).build()
        listening = socket.socket(fileno=holder.get_fd())
        try:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_S * 1000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        finally:
            listening.detach()
        self._ssp, self._shd = None, holder


class HttpServer:
    """`async with HttpServer(settings, router)`: listens until the block ends."""

    def __init__(self, settings: HttpSettings, router: Router) -> None:
        logging.getLogger("_granian").setLevel(logging.ERROR)
        self._settings = settings
        self._server = _Server(
            router,
            address=settings.host,
            port=settings.port,
            interface=Interfaces.RSGI,
            http=HTTPModes.auto,
            backlog=BACKLOG,
            backpressure=BACKPRESSURE,
            http2_settings=HTTP2Settings(
                keep_alive_interval=_PING_MS,
                max_concurrent_streams=_STREAMS,
                max_headers_size=_HEADERS_BYTES,
            ),
            log_enabled=False,
            ssl_cert=settings.cert,
            ssl_key=settings.key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HttpServer:
        check_port(self._settings.host, self._settings.port, "--http-port")
        self._task = asyncio.create_task(self._server.serve())
        await self._answers()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._server.stop()  # type: ignore[no-untyped-call]
        done, _ = await asyncio.wait([self._task], timeout=5)
        if not done:
            self._task.cancel()

    async def _answers(self) -> None:
        """Wait until the socket takes connections."""
        async with asyncio.timeout(_READY_S):
            while True:
                assert self._task is not None
                if self._task.done():
                    raise ConfigError(f"the HTTP server ended at once: {self._task.exception()}")
                try:
                    _, writer = await asyncio.open_connection(
                        self._settings.host, self._settings.port
                    )
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return


def check_port(host: str, port: int, flag: str) -> None:
    """ConfigError where the host is not this machine, or the port is taken or may not be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (socket.gaierror, UnicodeError) as error:
            raise ConfigError(
                f"cannot listen on {host}: the host name cannot be resolved", hint=_HOST_HINT
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ConfigError(
                    f"cannot listen on {host}: it is not an address of this machine",
                    hint=_HOST_HINT,
                ) from error
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                hint=f"choose another port with {flag}, or stop what uses this one",
            ) from error
