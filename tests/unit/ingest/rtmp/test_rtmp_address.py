"""Which stream an RTMP URL means."""

from __future__ import annotations

import pytest

from kinolog.core.errors import NameError_
from kinolog.ingest.rtmp.address import parse_address


@pytest.mark.parametrize(
    ("app", "key", "parameters"),
    [
        ("demo", "camera", {}),
        ("demo/camera", "", {}),
        ("/demo/", "/camera/", {}),
        ("", "demo/camera", {}),
        ("demo", "camera?key=S%20x&user=a", {"key": "S x", "user": "a"}),
        ("demo?user=a", "camera?key=S", {"user": "a", "key": "S"}),
        ("demo/camera?key=", "", {"key": ""}),
    ],
)
def test_forms(app: str, key: str, parameters: dict[str, str]) -> None:
    address = parse_address(app, key)
    assert str(address.stream) == "demo/camera"
    assert address.parameters == parameters


@pytest.mark.parametrize(
    ("app", "key", "said"),
    [
        ("demo", "a/b", "a slash too many"),
        ("demo", "", "no collection"),
        ("demo", "Camera", "not valid"),
        ("demo", "a?" + "x=1&" * 50, "too many query"),
    ],
)
def test_errors_say_how_to_write_it(app: str, key: str, said: str) -> None:
    with pytest.raises(NameError_, match=said) as caught:
        parse_address(app, key)
    assert "rtmp://HOST/COLLECTION/STREAM" in caught.value.hint


def test_errors_show_no_secret() -> None:
    with pytest.raises(NameError_) as caught:
        parse_address("demo", "a/b?key=SECRET")
    assert "SECRET" not in str(caught.value) + caught.value.hint
