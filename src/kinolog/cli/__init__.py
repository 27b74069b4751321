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

    Try it, all in one, with Kafka on this machine:

        kinolog demo

    On a Kafka of your own: run the servers, publish, watch:

        kinolog serve --bootstrap-servers broker:9092

        ffmpeg -re -i film.mp4 -c copy -f flv rtmp://127.0.0.1:1935/demo/film

        kinolog play demo/film | ffplay -
    """,
)
_VERBS = {
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
}
for _verb, _where in _VERBS.items():
    app.command(f"kinolog.cli.{_where}", name=_verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. A mistake gives one line that says what, one that says what to do; no
    traceback, exit code not 0. KINOLOG_TRACEBACK=1 shows where it came from."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words or words[0] in ("--help", "-h"):
        for verb in _VERBS:  # the list of verbs shows what each says of itself
            app[verb]
    try:
        app(
            words,
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
