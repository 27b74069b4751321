"""What a newcomer does: clone, `scripts/demo`, watch, Ctrl-C."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest
from kit.server import free_ports, run_well, wait_for

ROOT = Path(__file__).parents[2]
_SET_UP_S = 900.0
_GROWS_S = 60.0
_MIRRORS = (".npmrc", ".config/pip", ".config/uv")
"""Where package managers are told of mirrors, in a home."""
_PASSED = re.compile(
    r"(PIP|UV|NPM_CONFIG)_|(HTTPS?|NO)_PROXY$|SSL_CERT|.*_CA_(CERTS|BUNDLE)$|LANG$|PATH$",
    re.IGNORECASE,
)
"""Of the environment: package managers' settings, and whom to trust."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.needs("git"),
    pytest.mark.timeout(_SET_UP_S + 300),
]


def newcomer(home: Path) -> dict[str, str]:
    """The environment of somebody who has nothing of ours: no more than the way to packages."""
    home.mkdir()
    for name in _MIRRORS:
        told = Path.home() / name
        (home / name).parent.mkdir(exist_ok=True)
        if told.is_dir():
            shutil.copytree(told, home / name)
        elif told.exists():
            shutil.copy(told, home / name)
    passed = {name: value for name, value in os.environ.items() if _PASSED.match(name)}
    own_bin = str(ROOT / ".venv" / "bin")
    folders = [one for one in passed["PATH"].split(os.pathsep) if one != own_bin]
    return passed | {"HOME": str(home), "PATH": os.pathsep.join(folders)}


def newest(playlist: str) -> int:
    """The media sequence number of the last segment or part of a media playlist."""
    sequence = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", playlist)
    assert sequence, playlist
    return int(sequence[1]) + playlist.count("#EXTINF:")


def processes_of(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    lines = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if f"{folder}/" in line]


def test_the_demo_of_a_fresh_clone(tmp_path: Path) -> None:
    clone, log = tmp_path / "clone", tmp_path / "demo.log"
    run_well(["git", "clone", "-q", str(ROOT), str(clone)])
    http_port, rtmp_port = free_ports(2)
    ports = ["--http-port", str(http_port), "--rtmp-port", str(rtmp_port)]
    with log.open("wb") as file:
        demo = subprocess.Popen(
            [str(clone / "scripts" / "demo"), *ports, "--source", "test:320x180@15"],
            cwd=clone,
            env=newcomer(tmp_path / "home"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(
            lambda: "Ctrl-C stops" in log.read_text() or demo.poll() is not None, "demo", _SET_UP_S
        )
        said = log.read_text()
        found = re.search(r"LL-HLS\s+(http://\S+)", said)
        assert found, said
        assert f"export PATH={clone}/.venv/bin:$PATH" in said
        _watch_it_grow(found[1])
        assert any("kafka.Kafka" in line for line in processes_of(clone))
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    assert processes_of(clone) == []


def _watch_it_grow(url: str) -> None:
    """Follow the first media playlist of a multivariant one until it has got two segments more."""
    with httpx.Client(timeout=10) as client:
        wait_for(lambda: client.get(url).status_code == 200, url, _GROWS_S)
        lines = client.get(url).text.splitlines()
        media = httpx.URL(url).join(next(line for line in lines if line and line[0] != "#"))

        def text() -> str:
            answer = client.get(media)
            assert answer.status_code == 200, answer.text
            return answer.text

        begun = newest(text())
        wait_for(lambda: newest(text()) >= begun + 2, "two more segments", _GROWS_S)
