"""Which stream an RTMP URL means: `rtmp://host/{collection}/{stream}`, with a query on either."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl

from kinolog.core.errors import NameError_
from kinolog.core.names import StreamName

_MAX_PARAMETERS = 32
HINT = "publish to rtmp://HOST/COLLECTION/STREAM, for example rtmp://127.0.0.1/demo/camera"


class Address(NamedTuple):
    """The stream to publish to, and the query's parameters, which may hold secrets."""

    stream: StreamName
    parameters: dict[str, str]


def parse_address(app: str, key: str) -> Address:
    """The address of a connect's `app` and a publish's stream name (the "stream key").

    `app` may hold both names and `key` be empty, as encoders with one URL field send it.
    Raises NameError_ whose text shows no part of a query.
    """
    path: list[str] = []
    parameters: dict[str, str] = {}
    for text in (app, key):
        names, _, query = text.partition("?")
        path += [part for part in names.split("/") if part]
        parameters.update(_parse_query(query))
    try:
        stream = StreamName.parse("/".join(path))
    except NameError_ as error:
        raise NameError_(str(error), hint=HINT) from None
    return Address(stream, parameters)


def _parse_query(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS))
    except ValueError:
        raise NameError_("the URL has too many query parameters", hint=HINT) from None
