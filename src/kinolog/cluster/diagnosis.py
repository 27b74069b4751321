"""Why a broker died, in one line for a person, from what it left in its log files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_TAIL_BYTES = 256 * 1024


class Reason(NamedTuple):
    """What went wrong, and what to do about it."""

    text: str
    hint: str
    port_taken: bool = False
    known: bool = True
    """False when the files say nothing."""
    from_outside: bool = False
    """Somebody ended it with a signal: nothing is wrong with it."""


DISK_FULL = Reason(
    "the disk is full",
    "free some space, or put the data elsewhere with --data-dir, then start it again",
)
_KNOWN = [
    (
        r"Address already in use|failed to bind to",
        "its port is taken by another program",
        "start the cluster again: it chooses another port",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        DISK_FULL.text,
        DISK_FULL.hint,
    ),
    (
        r"Invalid cluster\.id|Inconsistent clusterId|INCONSISTENT_CLUSTER_ID|different cluster",
        "its data directory belongs to another cluster",
        "use another --data-dir",
    ),
    (
        r"Failed to acquire lock on file \.lock",
        "another Kafka process uses its data directory",
        "end that process, or use another --data-dir",
    ),
    (
        r"OutOfMemoryError.*heap|OutOfMemoryError",
        "it ran out of memory",
        "give it a larger heap with --heap-mb",
    ),
    (
        r"insufficient memory for the Java Runtime|Could not reserve enough space|"
        r"Cannot allocate memory",
        "the machine has too little free memory for its Java heap",
        "end other programs, or start fewer brokers",
    ),
    (
        r"Too many open files",
        "it may not open more files",
        "raise the limit (ulimit -n 100000), then start it again",
    ),
    (
        r"Permission denied|AccessDeniedException|Read-only file system",
        "it may not write in its data directory",
        "give your user the right to write there, or use another --data-dir",
    ),
]
_JVM_REFUSED = re.compile(
    r"^(?:Error: )?((?:Invalid|Too small|Unrecognized|Conflicting) .*|Could not find or load .*)$",
    re.MULTILINE,
)
_CONFIG_REFUSED = re.compile(r"\bConfigException: (.+)$", re.MULTILINE)
_FIRST_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ ([A-Z]+) ")
_ERROR_LINE = re.compile(r"^\S+ (?:ERROR|FATAL) (.*)$", re.MULTILINE)
_EXCEPTION_LINE = re.compile(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error): .*)$", re.MULTILINE)


def explain(log: str, output: str) -> Reason:
    """The reason found in the tail of a broker's log and of its stdout and stderr."""
    if signalled := re.search(r"Terminating process due to signal (\w+)", log):
        # What it says afterwards, on its way down, is no reason.
        text = f"it was stopped from outside ({signalled[1]})"
        return Reason(text, "start it again", from_outside=True)
    said = f"{output}\n{_errors(log)}"
    for pattern, text, hint in _KNOWN:
        if re.search(pattern, said):
            return Reason(text, hint, port_taken="port" in text)
    if refused := _JVM_REFUSED.search(output):
        return Reason(f"Java refused to start: {refused[1]}", "correct the flag, for one --heap-mb")
    if misset := _CONFIG_REFUSED.search(said):
        return Reason(f"Kafka refuses a setting: {misset[1][:300]}", "correct it with --set")
    for pattern_, text_ in ((_ERROR_LINE, log), (_EXCEPTION_LINE, log), (_EXCEPTION_LINE, output)):
        if lines := pattern_.findall(text_):
            return Reason(str(lines[-1])[:300], "its log has the rest")
    return Reason(
        "it was killed without a word (kill -9, or the system's out-of-memory killer)",
        "start it again; if it happens again, see dmesg",
        known=False,
    )


def _errors(log: str) -> str:
    """The ERROR lines of a log, each with the exception below it."""
    kept, in_error = [], False
    for line in log.splitlines():
        if begin := _FIRST_LINE.match(line):
            in_error = begin[1] in ("ERROR", "FATAL")
        if in_error:
            kept.append(line)
    return "\n".join(kept)


def tail(path: Path, start_byte: int = 0) -> str:
    """The end of a file from `start_byte` on, at most 256 KiB; '' if there is none.

    If the file is shorter than `start_byte` it has been rotated, and all of it is newer.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = start_byte if start_byte <= size else 0
            file.seek(max(begin, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def last_lines(text: str, count: int) -> str:
    """The last `count` lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-count:] if count else [])
