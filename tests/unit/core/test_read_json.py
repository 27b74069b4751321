"""JSON of others: every way in which it can be wrong is the sender's fault."""

from __future__ import annotations

import msgspec
import pytest

from kinolog.core.errors import InputError, WireError
from kinolog.core.json import decoded


class Sent(msgspec.Struct):
    """Something with a part that is not looked into."""

    text: str = ""
    data: msgspec.Raw = msgspec.Raw()


decode = msgspec.json.Decoder(Sent).decode


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"text":1}',
        b'{"text":"\xff"}',
        b'{"data":"\xff"}',
        b'{"text":"\\ud800"}',
        b'{"data":' + b"[" * 100_000,
    ],
)
def test_what_cannot_be_read(data: bytes) -> None:
    with pytest.raises(WireError, match="it is odd: "):
        decoded(decode, data, "it is odd", WireError)
    with pytest.raises(InputError):
        decoded(decode, data, "it is odd")


def test_what_can() -> None:
    assert decoded(decode, '{"text":"ü"}'.encode(), "").text == "ü"
