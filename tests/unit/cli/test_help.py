"""Help: every verb says what it does, with an example to copy."""

from __future__ import annotations

import pytest

from kinolog.cli import _VERBS, main


def _help(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0


@pytest.mark.parametrize("verb", sorted(_VERBS))
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    _help(verb, "--help")
    said = capsys.readouterr().out
    assert f"kinolog {verb}" in said.split("Usage:", 1)[1].split("\n", 1)[1], said


def test_the_list_of_verbs_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    _help("--help")
    lines = capsys.readouterr().out.splitlines()
    for verb in _VERBS:
        (line,) = [text for text in lines if text.startswith(f"│ {verb} ")]
        assert len(line.strip("│ ").split()) > 3, line


def test_an_unknown_verb_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["strams"])
    assert ended.value.code == 2
    assert "strams" in "".join(capsys.readouterr())
