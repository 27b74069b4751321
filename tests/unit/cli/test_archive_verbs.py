"""`kinolog archive` where there is no archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinolog.cli import main


@pytest.mark.parametrize("words", ["list", "delete cams --before now"])
def test_a_directory_that_is_not_there_is_an_error(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "typo"
    with pytest.raises(SystemExit) as ended:
        main(["archive", *words.split(), "--at", str(place)])
    assert ended.value.code not in (None, 0)
    assert f"there is no directory {place}" in capsys.readouterr().err
    assert not place.exists()


def test_an_empty_one_has_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["archive", "list", "--json", "--at", str(tmp_path)])
    assert ended.value.code in (None, 0)
    assert capsys.readouterr().out.strip() == "[]"
