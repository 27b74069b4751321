"""An edge says where streams are taken in: to whoever publishes to it by mistake."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.errors import NotFound
from kinolog.delivery.edge import no_ingest


def test_a_publisher_is_told_where_to_go() -> None:
    scope: Any = SimpleNamespace(method="PUT", path="/ingest/demo/film")
    with pytest.raises(NotFound) as told:
        asyncio.run(no_ingest(scope, SimpleNamespace()))  # type: ignore[arg-type]
    assert "takes no streams in" in str(told.value)
    assert "kinolog ingest" in told.value.hint
    assert "kinolog serve" in told.value.hint
