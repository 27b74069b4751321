"""Help: every verb says what it does, with an example to copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from kinolog.cli import _VERBS, app, main


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


def _commands(app: App, *words: str) -> Iterator[tuple[tuple[str, ...], App]]:
    """Each verb, and each verb's verb, that does something."""
    if app.default_command is not None:
        yield words, app
    for name in app:
        if not name.startswith("-"):
            yield from _commands(app[name], *words, name)


_COMMANDS = dict(_commands(app))


@pytest.mark.parametrize("words", sorted(_COMMANDS), ids=" ".join)
def test_every_command_and_flag_is_explained(words: tuple[str, ...]) -> None:
    found = _COMMANDS[words]
    assert f"    kinolog {' '.join(words)}" in found.help
    for argument in found.assemble_argument_collection(parse_docstring=True):
        if argument.show:
            assert argument.parameter.help, argument.name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("strams", 'Did you mean "streams"?'),
        ("serve now", "serve does not take: now"),
        ("streams delet a/b", "streams does not take: delet a/b"),
        ("streams --jsno", "Did you mean --json?"),
        ("publish", "publish needs SOURCE"),
        ("publish test: a/b --encode", "publish: --encode needs a value"),
        ("publish test: a/b --profile quick", '"frame", "low", "standard"'),
        ("publish test: a/b --fast --loop", "leave --fast out"),
        ("publish test: a/b --option x", "rtsp_transport=tcp"),
        ("cluster kill two", 'unable to convert "two" into int'),
        ("cluster start --set x", "log.retention.hours=1"),
        ("collections create a --retention long", "90s, 10m, 1h, 7d"),
        ("collections alter a", "nothing to change"),
        ("edge --tls-cert x", "add --tls-key FILE"),
        ("edge --tls-cert x --tls-key y", "name a PEM file"),
        ("edge --log-level loud", "KINOLOG_LOG_LEVEL"),
    ],
)
def test_a_mistake_gives_a_line_that_says_what_and_one_that_says_what_to_do(
    words: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert says in said
    what, to_do = said.splitlines()
    assert what.startswith("kinolog: ")
    assert to_do.startswith("  ")


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
