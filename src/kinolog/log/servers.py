"""Servers: Kafka's address as people write it, `host:port[,host:port…]`."""

from __future__ import annotations

import re

# The protocol, which Confluent Cloud's page shows, is what librdkafka takes beside the address.
_SERVER = re.compile(
    r"(?:(?:SASL_)?(?:PLAINTEXT|SSL)://)?(?:[\w.-]+|\[[\w:.%]+\])(?::(?P<port>\d+))?", re.IGNORECASE
)


def check_servers(text: str) -> str:
    """`text` itself if it is a list of addresses, or empty; else ValueError that says what is
    wrong. IPv6 addresses are in brackets; without a port, Kafka's is meant (9092)."""
    for server in text.split(",") if text else ():
        found = _SERVER.fullmatch(server.strip())
        if found is None:
            raise ValueError(f"{server.strip()!r} is not host:port (IPv6: [address]:port)")
        if found["port"] is not None and not 1 <= int(found["port"]) <= 65535:
            raise ValueError(f"{server.strip()!r}: a port is 1 to 65535")
    return text
