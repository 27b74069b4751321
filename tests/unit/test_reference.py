"""The reference is what the code says: made pages are as made, and every route is told of."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from kinolog.cli import app
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_reference", ROOT / "scripts/make_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_lines_page_is_as_made(made: ModuleType) -> None:
    assert (REFERENCE / "cli.md").read_text() == made.cli(), "run scripts/make_reference.py"


def test_the_table_of_settings_is_as_made(made: ModuleType) -> None:
    text = (REFERENCE / "settings.md").read_text()
    assert text == made.settings(text), "run scripts/make_reference.py"
    for name in Settings.model_fields:
        assert f"| `{name}` |" in text


def test_flags_of_settings_are_there_and_say_their_default() -> None:
    flags = {
        argument.name: argument.parameter.help or ""
        for argument in app["serve"].assemble_argument_collection(parse_docstring=True)
    }
    for name, field in Settings.model_fields.items():
        said = flags["--" + name.replace("_", "-")]
        if field.default not in (None, ""):
            shown = {True: "yes", 60.0: "60"}.get(field.default, str(field.default))
            assert f"[default: {shown}" in said, name


def test_every_route_is_told_of() -> None:
    text = (REFERENCE / "http.md").read_text()
    headings = re.findall(r"^## .*", text, re.MULTILINE)
    routes = set(re.findall(r'\("(/[a-z/]*)", ', inspect.getsource(roles.serve)))
    assert len(routes) == 10
    for route in routes:
        assert any(f"`{route}" in heading for heading in headings), route
