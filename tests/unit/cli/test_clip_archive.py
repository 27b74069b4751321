"""`kinolog clip` reads the archive as an edge does, to a file and to the shelf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kinolog.cli import main
from kinolog.core.errors import KafkaUnavailable
from kinolog.runtime import roles

KAFKA = ("--bootstrap-servers", "127.0.0.1:1")


@pytest.mark.parametrize("more", [["--output=it.mp4"], ["--keep", "--clips=kept"]])
def test_the_archive_that_is_set_is_read(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def backend(*_: Any, archive: str | None = None, **__: Any) -> Any:
        asked.append(archive)
        raise KafkaUnavailable("it is not there")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINOLOG_ARCHIVE", "blocks")
    monkeypatch.setattr(roles, "backend", backend)
    with pytest.raises(SystemExit):
        main(["clip", "cams/gate", "--start=-30s", "--end=-10s", *KAFKA, *more])
    assert asked == ["blocks"]
