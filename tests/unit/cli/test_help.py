"""Help: every verb says what it does, with an example to copy."""

from __future__ import annotations

import re
from pathlib import Path

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


@pytest.mark.parametrize("bench", ["live", "ingest", "viewers"])
def test_every_flag_of_a_benchmark_is_in_its_help_and_in_its_docs(
    bench: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _help("bench", bench, "--help")
    said = capsys.readouterr().out
    assert f"kinolog bench {bench}" in said.split("Usage:", 1)[1].split("\n", 1)[1], said
    docs = (Path(__file__).parents[3] / "bench" / "README.md").read_text()
    flags = set(re.findall(r"--[a-z][a-z-]*[a-z]", said)) - {"--help"}
    assert {"--seconds", "--json"} < flags
    assert {flag for flag in flags if f"`{flag}" not in docs} == set()
