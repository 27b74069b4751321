"""`kinolog clip` reads the archive as an edge does, to a file and to the shelf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kinolog.cli import main
from kinolog.core.errors import KafkaUnavailable
from kinolog.runtime import roles

KAFKA = ("--bootstrap-servers", "127.0.0.1:1")


def test_a_suffix_that_is_no_format_of_clips_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["clip", "cams/gate", "--start=-30s", "-o", "a.avi", *KAFKA])
    said = capsys.readouterr().err
    assert ".avi" in said
    assert all(ending in said for ending in (".mp4", ".m4s", ".ts"))


@pytest.mark.parametrize(
    "more", [["--output=it.mp4"], ["--keep", "--clips=kept"], ["--archive=blocks"]]
)
def test_the_archive_that_is_set_is_read(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def backend(*_: Any, archive: str | None = None, **__: Any) -> Any:
        asked.append(archive)
        raise KafkaUnavailable("it is not there")

    monkeypatch.chdir(tmp_path)
    if "--archive=blocks" not in more:
        monkeypatch.setenv("KINOLOG_ARCHIVE", "blocks")
    monkeypatch.setattr(roles, "backend", backend)
    with pytest.raises(SystemExit):
        main(["clip", "cams/gate", "--start=-30s", "--end=-10s", *KAFKA, *more])
    assert asked == ["blocks"]
