"""The command line: one file a verb, loaded when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from kinolog import __version__
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.errors import ConfigError, KinologError

app = App(
    name="kinolog",
    version=__version__,
    default_parameter=PARAMETERS,
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
    "clip": "clip:clip",
    "clips": "clips:app",
    "events": "events:app",
    "streams": "streams:app",
    "collections": "collections:app",
    "index": "index:app",
    "worker": "worker:app",
    "archive": "archive:app",
    "cluster": "cluster:app",
    "bench": "bench:app",
}
for _verb, _where in _VERBS.items():
    app.command(f"kinolog.cli.{_where}", name=_verb)


def load_verbs() -> None:
    """Load every verb, for a list of what each says of itself."""
    for verb in _VERBS:
        app[verb]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. A mistake gives one line that says what, one that says what to do; no
    traceback, exit code not 0. KINOLOG_TRACEBACK=1 shows where it came from."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words or words[0] in ("--help", "-h"):
        load_verbs()
    try:
        app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(_mistyped(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except BaseExceptionGroup as group:
        _fail(_first(group))
    except KinologError as error:
        _fail(error)


def _mistyped(error: CycloptsError) -> ConfigError:
    """What cannot be parsed, with where to read what can."""
    verb = " ".join(error.command_chain or ())
    error.verbose = False
    text = str(error)
    if isinstance(error, UnusedCliTokensError):
        text = f"{verb} does not take: {' '.join(error.unused_tokens or ())}"
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        text = f"{verb}: {name} needs a value" if name[0] == "-" else f"{verb} needs {name}"
    return ConfigError(text, hint=f"see {' '.join(['kinolog', verb]).strip()} --help")


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
