"""A place for objects: a local directory, S3 and what speaks it, Google Cloud Storage, Azure.

An object is made whole or not at all, and never changed where it was made by `create`: two writers
of the same name cannot both believe that theirs is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from kinolog.core.errors import ConfigError, NotFound, Unavailable

SCHEMES = ("file", "s3", "gs", "az", "abfss", "memory")
HINT = "a directory, file:///…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"

PIECE = 8 << 20
"""Bytes of one part of a multipart upload: S3 takes 5 MiB to 5 GiB, 10,000 of them (80 GB)."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a listing: its path under the place's root, bytes, when it was written."""

    path: str
    size: int
    modified_ms: int


class Objects:
    """The objects under one URL. Paths are relative, with `/` between their parts.

    Every method raises Unavailable where the store does not answer (obstore has retried by then),
    ConfigError where it refuses the credentials, NotFound where there is no such object.
    """

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store = store
        self.url = url
        """As it was given, without secrets: for people."""

    async def create(self, path: str, data: bytes) -> bool:
        """Write an object that is not there yet; False where it is (it is left as it was)."""
        with _told(self.url, path):
            try:
                await self._store.put_async(path, data, mode="create", use_multipart=False)
            except exceptions.AlreadyExistsError:
                return False
            except exceptions.PreconditionError:  # S3: If-None-Match
                return False
            return True

    async def replace(self, path: str, data: bytes) -> None:
        """Write an object, over what is there; readers see the old one whole, or the new."""
        with _told(self.url, path):
            await self._store.put_async(path, data, use_multipart=False)

    async def upload(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object of any size, over what is there; seen when all of it is in, or never."""
        with _told(self.url, path):
            await self._store.put_async(path, pieces, chunk_size=PIECE, use_multipart=True)

    async def read(self, path: str, first: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from byte `first` on; to the end where it is None."""
        with _told(self.url, path):
            if length is not None:
                return bytes(await self._store.get_range_async(path, start=first, length=length))
            got = await self._store.get_async(path, options={"range": {"offset": first}})
            return bytes(await got.bytes_async())

    async def ranges(self, path: str, spans: list[tuple[int, int]]) -> list[bytes]:
        """The bytes of several (first, length) of one object; neighbours in one request."""
        with _told(self.url, path):
            starts, lengths = [first for first, _ in spans], [length for _, length in spans]
            got = await self._store.get_ranges_async(path, starts=starts, lengths=lengths)
            return [bytes(one) for one in got]

    async def size(self, path: str) -> int:
        """Bytes of an object."""
        with _told(self.url, path):
            return int((await self._store.head_async(path))["size"])

    async def listed(self, prefix: str = "", after: str | None = None) -> AsyncIterator[Found]:
        """Objects below `prefix` (whole parts of a path) whose paths sort behind `after`."""
        with _told(self.url, prefix):
            async for batch in self._store.list(prefix or None, offset=after):
                for one in batch:
                    modified = int(one["last_modified"].timestamp() * 1000)
                    yield Found(one["path"], int(one["size"]), modified)

    async def folders(self, prefix: str = "") -> list[str]:
        """The next parts of the paths below `prefix`, as whole paths, sorted."""
        with _told(self.url, prefix):
            got = await self._store.list_with_delimiter_async(prefix or None)
            return sorted(got["common_prefixes"])

    async def delete(self, path: str) -> None:
        """Remove an object; nothing happens where there is none."""
        with _told(self.url, path):
            try:
                await self._store.delete_async(path)
            except (FileNotFoundError, exceptions.NotFoundError):
                return


def open_objects(url: str, options: Mapping[str, str] | None = None) -> Objects:
    """Open the place at `url`; nothing is asked of it yet.

    `options` are obstore's (`region`, `endpoint`, `access_key_id`, …); what is not there comes from
    the provider's own variables (`AWS_ACCESS_KEY_ID`, …) or the machine's role. A path without a
    scheme is a directory, made where there is none. Raises ConfigError.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            "an object store's URL holds no credentials and no query",
            hint="give them by the provider's variables, such as AWS_ACCESS_KEY_ID",
        )
    if not url or (parts.scheme and len(parts.scheme) > 1 and parts.scheme not in SCHEMES):
        raise ConfigError(f"no object store that kinolog knows: {url!r}", hint=HINT)
    try:
        if parts.scheme == "memory":
            return Objects(MemoryStore(), url)
        if parts.scheme == "file" or len(parts.scheme) <= 1:
            folder = Path(parts.path if parts.scheme == "file" else url).expanduser().absolute()
            return Objects(LocalStore(folder, mkdir=True), str(folder))
        return Objects(from_url(url, config=dict(options or {})), url)  # type: ignore[call-overload]
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise ConfigError(f"cannot open {url!r}: {_first_line(error)}", hint=HINT) from error


@contextmanager
def _told(url: str, path: str) -> Iterator[None]:
    """Put a store's errors into kinolog's."""
    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        raise NotFound(f"no object {path!r} in {url}") from error
    except (
        exceptions.PermissionDeniedError,
        exceptions.UnauthenticatedError,
        PermissionError,
    ) as error:
        raise ConfigError(
            f"{url} refuses kinolog: {_first_line(error)}", hint="check its credentials and rights"
        ) from error
    except exceptions.InvalidPathError as error:
        raise NotFound(f"no object {path!r} in {url}") from error
    except (TimeoutError, exceptions.BaseError, OSError) as error:
        raise Unavailable(f"{url} does not answer for {path!r}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
