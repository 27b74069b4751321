"""CMCD (CTA-5004, CTA-5004-B): what players report of themselves, and the records made of it.

A body has a report a line, each a dictionary of Structured Fields, or is JSON: an object, or an
array of them. Keys keep their names and units: those of CTA-5004-B, and custom ones, which have a
hyphen. Keys that are not known are kept as well.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote

import msgspec

from kinolog.core.errors import InputError, NameError_
from kinolog.core.json import decoded
from kinolog.core.names import StreamName
from kinolog.record import structured

MOST_BODY_BYTES: Final = 64 << 10
MOST_REPORTS: Final = 100
MOST_SID: Final = 64
MOST_CID: Final = 1024
"""CTA-5004-B says 128; players that are told nothing take the address of what they play."""

Cmcd = dict[str, Any]

_NUMBERS: Final = ("ltc", "msd", "dfa", "pr", "ts", "sn", "v", "rtp", "pt", "rc", "ttfb", "ttlb")
_LISTS: Final = ("br", "bl", "mtp", "tb", "bsd", "bsa", "bsda", "pb", "tpb", "lb")
_WORDS: Final = ("e", "sta", "sf", "st", "sid", "cid", "cdn", "url")
_KEY: Final = re.compile(r"[A-Za-z*][A-Za-z0-9_.*-]{0,63}")
_MEDIA: Final = re.compile(r"/media/([^/?#]+)/([^/?#]+)/")
_MOST_NUMBER: Final = 10**15
_any = msgspec.json.Decoder().decode


class Report(msgspec.Struct, omit_defaults=True):
    """A record of the topic of reports: what a player said, and when an edge heard it (Unix ms)."""

    stream: str
    at: int
    cmcd: Cmcd
    v: int = 1

    @property
    def session(self) -> str:
        """The player's ID for this session."""
        return str(self.cmcd["sid"])


_report = msgspec.json.Decoder(Report).decode


class Body(NamedTuple):
    """The reports of a body that can be used, and why the others cannot."""

    reports: list[Cmcd]
    refused: list[str]


def parse_body(body: bytes, content_type: str) -> Body:
    """All reports of a POST. InputError where the body as a whole is nothing of the kind."""
    kind = content_type.partition(";")[0].strip().lower()
    if len(body) > MOST_BODY_BYTES:
        raise InputError(f"a body has at most {MOST_BODY_BYTES >> 10} KiB")
    if kind == "application/json":
        found = _objects(body)
    elif kind in ("", "application/cmcd", "text/cmcd", "text/plain"):
        found = _lines(body)
    else:
        raise InputError(
            f"the content type {kind[:60]!r} is none of CMCD",
            hint="send application/cmcd with a report a line, or application/json",
        )
    if not found:
        raise InputError("a body without a report")
    if len(found) > MOST_REPORTS:
        raise InputError(f"a body has at most {MOST_REPORTS} reports")
    reports: list[Cmcd] = []
    refused: list[str] = []
    for number, one in enumerate(found, 1):
        try:
            report = structured.dictionary(one) if isinstance(one, str) else _plain(one)
            reports.append(check_event(report))
        except InputError as error:
            refused.append(f"report {number}: {error}")
    return Body(reports, refused)


def parse_query(query: str) -> Cmcd | None:
    """What a request for media says in its query, `CMCD=…`, or None. InputError where it is not
    to be understood."""
    found = parse_qs(query, max_num_fields=50).get("CMCD")
    if not found:
        return None
    report = check(dict(structured.dictionary(found[0])))
    report.pop("ts", None)  # has it no event, its time is the edge's
    return report


def check_event(report: Cmcd) -> Cmcd:
    """`report` itself if it can be an event's (CTA-5004-B, event mode), else InputError."""
    check(report)
    for key, what in (("e", "the event"), ("ts", "its time")):
        if key not in report:
            raise InputError(f"{key}, {what}, is missing")
    return report


def check(report: Cmcd) -> Cmcd:
    """`report` itself if what kinolog reads of it is of its type, else InputError."""
    sid = report.get("sid")
    if not isinstance(sid, str) or not 0 < len(sid) <= MOST_SID:
        raise InputError(f"sid, the session, is a string of 1 to {MOST_SID} characters")
    for key in _WORDS:
        if not isinstance(report.get(key, ""), str):
            raise InputError(f"{key} is a word")
    if len(report.get("cid", "")) > MOST_CID:
        raise InputError(f"cid, the content, has at most {MOST_CID} characters")
    for key in _NUMBERS:
        if not _is_number(report.get(key, 0)):
            raise InputError(f"{key} is a number, 0 or more")
    for key in _LISTS:
        value = report.get(key, 0)
        items = value if isinstance(value, list) else [value]
        if not all(_is_number(_bare(item)) for item in items):
            raise InputError(f"{key} is a list of numbers, 0 or more")
    return report


def numbers(report: Cmcd, key: str) -> list[float]:
    """The numbers of a list such as `br`; a single one counts as a list of one."""
    value = report.get(key, [])
    items = value if isinstance(value, list) else [value]
    return [float(bare) for bare in map(_bare, items) if _is_number(bare)]


def stream_of(report: Cmcd, told: str = "") -> StreamName:
    """The stream that a report is about: what the address of the report told (`?stream=`), or its
    `cid`, a stream's name or an address of its media, or its `url`. NameError_ where none says."""
    if told:
        return StreamName.parse(told)
    cid = str(report.get("cid", ""))
    for text in (cid, unquote(cid), str(report.get("url", ""))):
        path = _MEDIA.search(text)
        if path is not None:
            return StreamName.parse(f"{path[1]}/{path[2]}")
        if text and "/" in text and "//" not in text:
            return StreamName.parse(text)
    raise NameError_(
        "it does not say which stream is played",
        hint="set the player's content ID (cid) to collection/name, or post to "
        "/cmcd?stream=collection/name",
    )


def encode_report(report: Report) -> bytes:
    """The value of its record."""
    return msgspec.json.encode(report)


def decode_report(value: bytes) -> Report | None:
    """The report of a record's value; None for what is none, or of a later version."""
    try:
        found = decoded(_report, value, "report is not readable")
        check(found.cmcd)
    except InputError:
        return None
    return found if found.v == 1 else None


def without_queries(report: Cmcd) -> Cmcd:
    """`report` with addresses cut off at their query, which may hold somebody's token."""
    for key in ("url", "cid", "nor"):
        if key in report:
            report[key] = _cut(report[key])
    return report


def _cut(value: Any) -> Any:
    match value:
        case str():
            return value.partition("?")[0]
        case list():
            return [_cut(item) for item in value]
        case {"value": str(text)}:
            return value | {"value": text.partition("?")[0]}
    return value


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < _MOST_NUMBER  # false for NaN, too


def _bare(item: object) -> Any:
    return item.get("value") if isinstance(item, dict) else item


def _lines(body: bytes) -> list[Any]:
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise InputError("CMCD is ASCII; other letters are percent-encoded") from error
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]


def _objects(body: bytes) -> list[Any]:
    found = decoded(_any, body, "not JSON")
    return found if isinstance(found, list) else [found]


def _plain(report: object) -> Cmcd:
    """A report that came as JSON, within the bounds of one that did not."""
    if not isinstance(report, dict):
        raise InputError("it is no JSON object")
    if len(report) > structured.MOST_KEYS:
        raise InputError(f"more than {structured.MOST_KEYS} keys")
    for key, value in report.items():
        if not _KEY.fullmatch(key):
            raise InputError(f"{key[:70]!r} is no key")
        items = value if isinstance(value, list) else [value]
        if len(items) > structured.MOST_ITEMS:
            raise InputError(f"{key} is a list of more than {structured.MOST_ITEMS}")
        for item in items:
            if isinstance(item, str) and len(item) > structured.MOST_TEXT:
                raise InputError(f"{key} has more than {structured.MOST_TEXT} characters")
            if isinstance(item, list | dict) or item is None:
                raise InputError(f"{key} is no plain value, nor a list of such")
            if not isinstance(item, str | bool) and abs(item) >= _MOST_NUMBER:
                raise InputError(f"{key} is too large a number")
    return report
