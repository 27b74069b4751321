"""A place for objects: a local directory, S3 and what speaks it, Google Cloud Storage, Azure.

An object is made whole or not at all, and never changed where it was made by `create`: two writers
of the same name cannot both believe that theirs is there.
"""

from __future__ import annotations

import asyncio
import glob
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from kinolog.core.errors import ConfigError, NotFound, Unavailable

SCHEMES = ("file", "s3", "gs", "az", "abfss", "memory")
HINT = "a directory, file:///…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"

CLIENT: Final[Any] = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=15)}
"""Of a request whole, with its body: what is read in one is some MB. obstore's own: 30 s."""
WRITING: Final[Any] = CLIENT | {"timeout": timedelta(seconds=300)}
"""64 MiB in one PUT at 2 Mb/s, 1 GiB at 30."""
RETRY: Final[Any] = {
    "max_retries": 2,
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2)},
    "retry_timeout": timedelta(seconds=10),
}
"""Someone waits for it. obstore's own: 10 times within 3 minutes."""
_VARIABLES: Final = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE", "abfss": "AZURE"}
_CLIENT_NAMES: Final = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "timeout",
)

PIECE = 8 << 20
"""Bytes of one part of a multipart upload: S3 takes 5 MiB to 5 GiB, 10,000 of them (80 GB)."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9._/-]+")


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

    `store`: None for a directory that may not be there yet. `writing`: the same, for what takes
    longer. `folder`: the directory, where it is one; what is made there is on its disk when
    `create` returns.
    """

    def __init__(
        self,
        store: ObjectStore | None,
        url: str,
        *,
        writing: ObjectStore | None = None,
        folder: Path | None = None,
    ) -> None:
        self._store = store
        self._writing = writing
        self._folder = folder
        self.url = url
        """As it was given, without secrets: for people."""

    def check(self) -> None:
        """NotFound where it is a directory that is not there."""
        if self._folder is not None and not self._folder.is_dir():
            raise NotFound(f"there is no directory {self._folder}")

    async def create(self, path: str, data: bytes) -> bool:
        """Write an object that is not there yet; False where it is (it is left as it was)."""
        with _told(self.url, path):
            if self._folder is not None:
                return await asyncio.to_thread(_create, self._folder, path, data)
            try:
                await (await self._writer()).put_async(
                    path, data, mode="create", use_multipart=False
                )
            except exceptions.AlreadyExistsError:
                return False
            except exceptions.PreconditionError:  # S3: If-None-Match
                return False
            return True

    async def tidy(self, path: str) -> None:
        """Remove what was staged for an object that is there, as a writer leaves it that is killed
        while it writes to a directory. Nobody needs it any more: `create` would refuse it."""
        if self._folder is not None:
            with _told(self.url, path):
                await asyncio.to_thread(_tidy, self._folder / path)

    async def replace(self, path: str, data: bytes) -> None:
        """Write an object, over what is there; readers see the old one whole, or the new."""
        with _told(self.url, path):
            await (await self._writer()).put_async(path, data, use_multipart=False)

    async def upload(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object of any size, over what is there; seen when all of it is in, or never."""
        with _told(self.url, path):
            await (await self._writer()).put_async(
                path, pieces, chunk_size=PIECE, use_multipart=True
            )

    async def read(self, path: str, first: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from byte `first` on; to the end where it is None."""
        with _told(self.url, path):
            store = await self._reader()
            if length is not None:
                return bytes(await store.get_range_async(path, start=first, length=length))
            got = await store.get_async(path, options={"range": {"offset": first}})
            return bytes(await got.bytes_async())

    async def ranges(self, path: str, spans: list[tuple[int, int]]) -> list[bytes]:
        """The bytes of several (first, length) of one object; neighbours in one request."""
        with _told(self.url, path):
            starts, lengths = [first for first, _ in spans], [length for _, length in spans]
            store = await self._reader()
            got = await store.get_ranges_async(path, starts=starts, lengths=lengths)
            return [bytes(one) for one in got]

    async def size(self, path: str) -> int:
        """Bytes of an object."""
        with _told(self.url, path):
            store = await self._reader()
            return int((await store.head_async(path))["size"])

    async def listed(self, prefix: str = "", after: str | None = None) -> AsyncIterator[Found]:
        """Objects below `prefix` (whole parts of a path) whose paths sort behind `after`."""
        with _told(self.url, prefix):
            try:
                store = await self._reader()
            except FileNotFoundError:
                return
            async for batch in store.list(prefix or None, offset=after):
                for one in batch:
                    modified = int(one["last_modified"].timestamp() * 1000)
                    yield Found(one["path"], int(one["size"]), modified)

    async def folders(self, prefix: str = "") -> list[str]:
        """The next parts of the paths below `prefix`, as whole paths, sorted."""
        with _told(self.url, prefix):
            try:
                store = await self._reader()
            except FileNotFoundError:
                return []
            got = await store.list_with_delimiter_async(prefix or None)
            return sorted(got["common_prefixes"])

    async def delete(self, path: str) -> None:
        """Remove an object; nothing happens where there is none."""
        with _told(self.url, path):
            try:
                store = await self._reader()
                await store.delete_async(path)
            except (FileNotFoundError, exceptions.NotFoundError):
                return

    async def _reader(self) -> ObjectStore:
        if self._store is None:
            assert self._folder is not None
            self._store = await asyncio.to_thread(_opened, self._folder)
        return self._store

    async def _writer(self) -> ObjectStore:
        return self._writing if self._writing is not None else await self._reader()


def open_objects(
    url: str, options: Mapping[str, str] | None = None, *, make: bool = True
) -> Objects:
    """Open the place at `url`; nothing is asked of it yet.

    `options` are obstore's (`region`, `endpoint`, `access_key_id`, …); what is not there comes from
    the provider's own variables (`AWS_ACCESS_KEY_ID`, …) or the machine's role. A path without a
    scheme is a directory, made where there is none; without `make` it is as if empty until somebody
    makes it. Raises ConfigError.
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
            store = LocalStore(folder, mkdir=True) if make else None
            return Objects(store, str(folder), folder=folder)
        config: Any = dict(options or {})
        own = _client_of(parts.scheme)
        found = [
            from_url(url, config=config, client_options=client | own, retry_config=RETRY)
            for client in (CLIENT, WRITING)
        ]
        return Objects(found[0], url, writing=found[1])
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise ConfigError(f"cannot open {url!r}: {_first_line(error)}", hint=HINT) from error


def _client_of(scheme: str) -> dict[str, Any]:
    """What the provider's variables say of the client (`AWS_ALLOW_HTTP`, …): obstore forgets those
    where it is given any option of the client's."""
    found: dict[str, Any] = {}
    for name in _CLIENT_NAMES:
        value = os.environ.get(f"{_VARIABLES[scheme]}_{name.upper()}")
        if value is not None:
            is_flag = name.startswith("allow_")
            found[name] = value.lower() in ("1", "true", "on", "yes", "y") if is_flag else value
    return found


def _opened(folder: Path) -> ObjectStore:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no directory {folder}")
    return LocalStore(folder)


def _create(folder: Path, path: str, data: bytes) -> bool:
    """As Objects.create: the bytes are on the disk before the name is there, and then the name."""
    if not _PLAIN.fullmatch(path) or {"", ".", ".."} & set(path.split("/")):
        raise NotFound(f"no object can have the name {path!r}")
    final = folder / path
    # What is being written has a name that a listing leaves out, as that of obstore itself.
    staged = final.with_name(f"{final.name}#{secrets.randbelow(1 << 62)}")
    made = [one for one in (final.parent, *final.parent.parents) if not one.exists()]
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        with staged.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        is_new = _link(staged, final)
    finally:
        staged.unlink(missing_ok=True)
    if is_new:
        for one in {final.parent, *(new.parent for new in made)}:
            _sync(one)
    _tidy(final)
    return is_new


def _link(staged: Path, final: Path) -> bool:
    """Give what was staged its name; False where another has it."""
    try:
        os.link(staged, final)
    except FileExistsError:
        return False
    except FileNotFoundError:
        if final.exists():  # made by another, who has tidied since
            return False
        raise
    return True


def _tidy(final: Path) -> None:
    if final.exists():
        for staged in final.parent.glob(f"{glob.escape(final.name)}#*"):
            staged.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    found = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(found)
    finally:
        os.close(found)


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
