"""TLS settings that cannot work are told before anything listens."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kinolog.core.errors import ConfigError
from kinolog.runtime.http import HttpSettings

pytestmark = pytest.mark.needs("openssl")


def make_pair(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = ("req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=localhost", "-days", "1")
    subprocess.run(
        ["openssl", *words, "-keyout", key, "-out", cert, *(more or ("-nodes",))],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return cert, key


def test_a_pair_that_works(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path, "one")
    assert HttpSettings(cert=cert, key=key).url.startswith("https://")
    assert HttpSettings().url.startswith("http://")


def test_one_without_the_other(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path, "one")
    with pytest.raises(ConfigError, match="--tls-cert without --tls-key"):
        HttpSettings(cert=cert)
    with pytest.raises(ConfigError, match="--tls-key without --tls-cert"):
        HttpSettings(key=key)


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path, "one")
    with pytest.raises(ConfigError, match=r"--tls-key: cannot read .*none\.key: No such file"):
        HttpSettings(cert=cert, key=tmp_path / "none.key")
    with pytest.raises(ConfigError, match=r"--tls-cert: cannot read .*: Is a directory"):
        HttpSettings(cert=tmp_path, key=key)


def test_what_is_no_pem_another_key_and_an_encrypted_one(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path, "one")
    _, other = make_pair(tmp_path, "other")
    (tmp_path / "film.pem").write_bytes(bytes(range(256)) * 20)
    for wrong, reason in (
        ((tmp_path / "film.pem", key), "not PEM"),
        ((cert, tmp_path / "film.pem"), "not PEM"),
        ((key, cert), "not PEM"),
        ((cert, other), "not that of the certificate"),
        (make_pair(tmp_path, "locked", "-passout", "pass:secret"), "encrypted"),
    ):
        with pytest.raises(ConfigError, match=reason) as error:
            HttpSettings(cert=wrong[0], key=wrong[1])
        assert "PEM" in error.value.hint
