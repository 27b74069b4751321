"""The command line: one file a verb, loaded when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from kinolog import __version__
from kinolog.core.errors import KinologError

app = App(
    name="kinolog",
    version=__version__,
    help="""Live video on Apache Kafka: the log is the stream.

    Try it:  kinolog demo
    Publish: ffmpeg -re -i film.mp4 -c copy -f flv rtmp://127.0.0.1:1935/demo/film
    Watch:   http://127.0.0.1:8080/watch/demo/film
    """,
)
for _verb, _where in {
    "demo": "demo:demo",
    "serve": "serve:serve",
    "ingest": "serve:ingest",
    "edge": "serve:edge",
    "publish": "publish:publish",
    "play": "play:play",
    "streams": "streams:app",
    "collections": "collections:app",
    "cluster": "cluster:app",
    "bench": "bench:app",
}.items():
    app.command(f"kinolog.cli.{_where}", name=_verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. A mistake gives one line that says what, one that says what to do; no
    traceback, exit code not 0. KINOLOG_TRACEBACK=1 shows where it came from."""
    try:
        app(
            list(arguments) if arguments is not None else None,
            exit_on_error=False,
            print_error=True,
        )
    except CycloptsError:
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except BaseExceptionGroup as group:
        _fail(_first(group))
    except KinologError as error:
        _fail(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _fail(error: BaseException) -> None:
    if os.environ.get("KINOLOG_TRACEBACK") or not isinstance(error, KinologError):
        if isinstance(error, KeyboardInterrupt):
            sys.exit(130)
        raise error
    print(f"kinolog: {error}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    sys.exit(error.exit_code)
