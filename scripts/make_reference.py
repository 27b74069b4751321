#!/usr/bin/env python3
"""Writes docs/reference/cli.md, and the table in docs/reference/settings.md, from the code.

`.venv/bin/python scripts/make_reference.py`; tests/unit/test_reference.py compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from kinolog.cli import app, load_verbs
from kinolog.cli.common import KAFKA_GROUP
from kinolog.runtime.settings import Settings

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_KAFKA_FLAGS = re.compile(rf"\*\*{KAFKA_GROUP}\*\*:\n\n(?:\* [^\n]*\n)+\n")
_TABLE = re.compile(r"(?<=<!-- table: scripts/make_reference\.py -->\n)[^<]*(?=<!-- end -->)")
_CLI = """\
# Command line

Made from the code by `scripts/make_reference.py`. Flags that are left out come from `KINOLOG_*`
variables, then `kinolog.toml`, then the default: see [settings](settings.md).

A mistake gives one line that says what, one that says what to do, and an exit code: 2 for what was
typed or sent, 1 for the rest, 130 after Ctrl-C; 0 where that ends what runs until it is told to
(`publish`, `serve`, `demo` and the like, which finish first). `KINOLOG_TRACEBACK=1` shows where it
came from.
Facts go to standard output, notes to standard error.

"""


def cli() -> str:
    """cli.md: each verb with its flags; what all verbs share stands once, at the end."""
    load_verbs()
    # Some of cyclopts' usage lines are by the name of the program that runs.
    argv, sys.argv = sys.argv, ["kinolog"]
    try:
        made = app.generate_docs(output_format="markdown", recursive=True)
    finally:
        sys.argv = argv
    text = made[made.index("## Table of Contents") :].rstrip() + "\n\n"
    shared = {found.group() for found in _KAFKA_FLAGS.finditer(text)}
    (once,) = shared
    anchor = KAFKA_GROUP.lower().replace(" ", "-")
    text = text.replace(once, f"Also: [{KAFKA_GROUP}](#{anchor}).\n\n")
    text = text.replace("## Table of Contents", "## Verbs", 1)
    flags = once.split("\n\n", 1)[1].rstrip()
    return f"{_CLI}{text.rstrip()}\n\n## {KAFKA_GROUP}\n\nOf every verb that says so:\n\n{flags}\n"


def settings_table() -> str:
    """A line for each setting."""
    lines = ["", "| key | flag | variable | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        flag = f"`--{name.replace('_', '-')}`"
        if isinstance(field.default, bool):
            flag += f", `--no-{name.replace('_', '-')}`"
        default = _shown(field.default)
        lines.append(
            f"| `{name}` | {flag} | `KINOLOG_{name.upper()}` | {default} | {field.description} |"
        )
    return "\n".join([*lines, "", ""])


def settings(text: str) -> str:
    """settings.md with its table made anew."""
    made, times = _TABLE.subn(lambda _: settings_table(), text)
    assert times == 1, "settings.md has lost the marks of its table"
    return made


def _shown(default: Any) -> str:
    if default in (None, ""):
        return "none"
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"`{default}`"


def main() -> None:
    """Write both."""
    (REFERENCE / "cli.md").write_text(cli())
    page = REFERENCE / "settings.md"
    page.write_text(settings(page.read_text()))


if __name__ == "__main__":
    main()
