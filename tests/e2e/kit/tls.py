"""A certificate that nobody has signed."""

from __future__ import annotations

from pathlib import Path

from kit.server import run_well


def certificate(folder: Path) -> list[str]:
    """Makes one for localhost; the flags that name it and its key."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    run_well([*new, "-keyout", key, "-out", cert])
    return ["--tls-cert", cert, "--tls-key", key]
