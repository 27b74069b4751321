"""Pages: links lead somewhere, and commands that can be copied are understood."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import MissingArgumentError

from kinolog.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`(kinolog [a-z]+ [^`]*)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
_ENDS = frozenset({"|", ";", "&", "&&"})
NAMED = (["streams", "move"], ["bench", "viewers"], ["play"], ["publish"], ["worker", "archive"])


def _words(line: str) -> Iterator[list[str]]:
    """The commands of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _ENDS:
            command.append(word)
            continue
        yield command
        command = []


def _commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text()
        blocks = "\n".join(_BLOCK.findall(text)).replace("\\\n", " ")
        for line in [*blocks.splitlines(), *_INLINE.findall(text.replace("\\|", "|"))]:
            if "…" in line or "kinolog" not in line:
                continue
            for words in _words(line):
                if words and words[0] == "kinolog":
                    found.append((page.relative_to(ROOT).as_posix(), shlex.join(words)))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "command"), _commands())
def test_a_command_to_copy_is_understood(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except MissingArgumentError:
        # The name of a command, in running text.
        assert words in NAMED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, _ in _LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        if name != "README.md" and not name.startswith("adr/"):
            assert f"({name})" in index, name
