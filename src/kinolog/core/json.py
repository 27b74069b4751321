"""JSON that others wrote: read, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from kinolog.core.errors import InputError

T = TypeVar("T")


def decoded(
    decode: Callable[[bytes], T], data: bytes, what: str, error: type[InputError] = InputError
) -> T:
    """What a msgspec decoder makes of JSON. `error` says of `what` why it cannot be used: it is no
    JSON, of another shape, no UTF-8 (msgspec passes that over in what stays raw), too deep."""
    try:
        data.decode()
        return decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as why:
        raise error(f"{what}: {why}") from why
