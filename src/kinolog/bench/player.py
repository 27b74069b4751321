"""A low-latency HLS player of one video track: blocking reload, hinted parts, a hold-back."""

from __future__ import annotations

import http.client
import select
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from kinolog.bench.follower import Place
from kinolog.bench.listing import ListedPart, Listing, parse_listing, place_of
from kinolog.core.errors import ConfigError, Unavailable

_TIMEOUT_S = 15.0
_AGAIN_S = 0.1
_OK = 200


class Joined(NamedTuple):
    """How the player began: its playlist's newest part, and how far behind its end it plays."""

    edge: Place
    hold_back_s: float
    part_target_s: float


class Player:
    """Plays in the thread that calls `play`, as fast as parts come, and throws them away.

    Two connections, as a browser uses them: one reloads the playlist, one fetches parts, the
    hinted one before it exists. Names come from playlists alone, so it goes on over a new epoch.
    """

    def __init__(self, edge_url: str, path: str, *, patience_s: float = 10.0) -> None:
        """`path`: of the media playlist, under `edge_url`. ConfigError: not http or https.

        `patience_s`: without a new part, or without a playlist, for longer, it gives up.
        """
        url = urlsplit(edge_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(
                f"--edge {edge_url!r} is not an address", hint="write it like http://127.0.0.1:8080"
            )
        self.joined: Joined | None = None
        self.arrivals: dict[Place, float] = {}
        """When (Unix s) a part's last byte was here."""
        self.before: set[Place] = set()
        """Parts that it fetched to catch up with the stream, until the first hinted one."""
        self.missed = 0
        """Listed parts that the edge did not have."""
        self.ended = False
        """The stream has ended, before the time was over."""
        self._patience_s = patience_s
        self._playlist = urljoin(f"{edge_url.rstrip('/')}/", path)
        self._lists = _connection(url.scheme, url.netloc)
        self._media = _connection(url.scheme, url.netloc)
        self._stop = threading.Event()
        self._newest = Place(-1, -1, -1)
        self._heard = time.monotonic()
        self._asked = ""
        """The hinted part that the second connection waits for."""
        self._refused = ""

    def stop(self) -> None:
        """`play` returns soon, whatever time is left."""
        self._stop.set()

    def open(self) -> None:
        """Make the edge follow the stream, as earlier viewers do. Raises what `play` raises."""
        with self._errors():
            self._load()

    def play(self, seconds: float) -> None:
        """Play for so long. Raises Unavailable where no part comes or the edge goes away,
        MediaError where the stream has no parts."""
        with self._errors():
            listing = self._load()
            self._join(listing)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not self._stop.is_set() and not self.ended:
                listing = self._turn(listing)
                if time.monotonic() - self._heard > self._patience_s:
                    raise Unavailable(
                        f"{self._playlist}: no new part for {self._patience_s:.0f} s",
                        hint="is the stream being published?",
                    )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self._playlist} cannot be played: {error}") from error
        finally:
            self._lists.close()
            self._media.close()

    def _join(self, listing: Listing) -> None:
        """Fetch from the newest independent part on that is a hold-back before the end."""
        parts = listing.parts
        if listing.ended or not parts:
            raise Unavailable(f"{self._playlist} has ended, or has no part yet")
        hold_back_s = listing.hold_back_s or 3 * listing.part_target_s
        behind_s, first = 0.0, 0
        for index in range(len(parts) - 1, -1, -1):
            behind_s += parts[index].seconds
            if behind_s >= hold_back_s - 1e-6 and parts[index].independent:
                first = index
                break
        self.joined = Joined(parts[-1].place, hold_back_s, listing.part_target_s)
        self._get(self._media, urljoin(self._playlist, listing.init))
        for part in parts[first:]:
            self._fetch(part)

    def _turn(self, listing: Listing) -> Listing:
        """Wait for the next part, both ways at once; the playlist that lists it."""
        query = f"?_HLS_msn={listing.next_msn}&_HLS_part={listing.next_part}"
        self._lists.request("GET", _target(self._playlist + query))
        self._ask_for(urljoin(self._playlist, listing.hint) if listing.hint else "")
        status, body = _read(self._lists)
        if status != _OK:
            self._stop.wait(_AGAIN_S)
        found = parse_listing(body.decode()) if status == _OK else self._load()
        if self._asked and any(urljoin(self._playlist, p.uri) == self._asked for p in found.parts):
            self._take_hint()
        elif self._asked:  # the segment ended before it, or a new epoch began: it will not come
            self._media.close()
            self._asked = ""
        for part in found.parts:
            if part.place > self._newest:
                self._fetch(part)
        self.ended = found.ended
        return found

    def _ask_for(self, hint: str) -> None:
        """Ask for the hinted part, and take it where it comes before the playlist does."""
        if not hint or hint == self._refused:
            return
        self._media.request("GET", _target(hint))
        self._asked = hint
        ready, _, _ = select.select([self._media.sock, self._lists.sock], [], [], _TIMEOUT_S)
        if self._media.sock in ready:
            self._take_hint()

    def _take_hint(self) -> None:
        hint, self._asked = self._asked, ""
        status, _ = _read(self._media)
        if status == _OK:
            self.before = self.before or set(self.arrivals)
            self._arrived(place_of(hint))
        else:
            self._refused = hint

    def _fetch(self, part: ListedPart) -> None:
        if self._get(self._media, urljoin(self._playlist, part.uri))[0] == _OK:
            self._arrived(part.place)
        else:
            self.missed += 1
            self._newest = part.place

    def _arrived(self, place: Place) -> None:
        self.arrivals[place] = time.time()
        self._heard = time.monotonic()
        self._newest = max(self._newest, place)

    def _load(self) -> Listing:
        """The playlist as it is now; tried again while the edge has none."""
        deadline = time.monotonic() + self._patience_s
        while True:
            status, body = self._get(self._lists, self._playlist)
            if status == _OK:
                return parse_listing(body.decode())
            if time.monotonic() > deadline or self._stop.wait(_AGAIN_S):
                raise Unavailable(f"{self._playlist} answers {status}")

    def _get(self, connection: http.client.HTTPConnection, url: str) -> tuple[int, bytes]:
        connection.request("GET", _target(url))
        return _read(connection)


def _connection(scheme: str, place: str) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(place, timeout=_TIMEOUT_S, context=context)
    return http.client.HTTPConnection(place, timeout=_TIMEOUT_S)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _read(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    answer = connection.getresponse()
    return answer.status, answer.read()
