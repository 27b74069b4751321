"""`--before` a moment that is still to come would delete all there is: it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinolog.cli import main


@pytest.mark.parametrize(
    "verb",
    [
        ["streams", "trim", "cams/gate", "--bootstrap-servers=127.0.0.1:1"],
        ["archive", "delete", "cams", "--at=blocks"],
    ],
)
def test_a_time_in_the_future_is_refused(
    verb: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*verb, "--before=2190-01-01T00:00:00Z"])
    assert ended.value.code
    assert "--before lies in the future" in " ".join(capsys.readouterr().err.split())
