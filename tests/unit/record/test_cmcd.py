"""Reports of players, as the players' own encoder writes them, and those that cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.record import cmcd
from kinolog.record.cmcd import Report, parse_body, parse_query, stream_of

LINES = "application/cmcd"
# What hls.js 1.7.4 and dash.js 5.2.1 sent to a server that wrote it down.
HLS = (
    'bg=?0,bl=(2100),br=(1500),cid="demo/cam",e=ps,mtp=(24000),sf=h,sid="6e2fb550",sn=3,st=ll,'
    "sta=p,ts=1795700535123,v=2"
)
DASH = (
    'br=(1500;v 96;a),bsa=(1;v),bsd=(812;v),cid="demo/cam",dfa=4,e=t,ltc=1830,msd=640,pt=1795700,'
    'sf=d,sid="a-b",sn=0,sta=p,ts=1795700535123,v=2'
)


def test_lines_of_players() -> None:
    found = parse_body(f"{HLS}\n{DASH}\n".encode(), f"{LINES}; charset=utf-8")
    assert found.refused == []
    hls, dash = found.reports
    assert (hls["sta"], hls["st"], hls["bg"], hls["br"]) == ("p", "ll", False, [1500])
    assert cmcd.numbers(dash, "br") == [1500, 96]
    assert (dash["ltc"], dash["msd"], dash["dfa"]) == (1830, 640, 4)


def test_a_bad_line_costs_no_good_one() -> None:
    body = f"{HLS}\r\n\nnonsense=(\n{DASH}\ne=t,ts=1\n".encode()
    found = parse_body(body, LINES)
    assert [one["sid"] for one in found.reports] == ["6e2fb550", "a-b"]
    assert [one.partition(":")[0] for one in found.refused] == ["report 2", "report 4"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sid": ""}, "sid"),
        ({"sid": "x" * 65}, "sid"),
        ({"sid": 3}, "sid"),
        ({"ts": "now"}, "ts"),
        ({"ts": -1}, "ts"),
        ({"ts": True}, "ts"),
        ({"ltc": 10**15}, "ltc"),
        ({"br": [1, "x"]}, "br"),
        ({"cid": "c" * 1025}, "cid"),
        ({"sta": 4}, "sta"),
    ],
)
def test_what_no_report_has(change: dict[str, Any], says: str) -> None:
    good = {"sid": "s", "e": "t", "ts": 1, "cid": "a/b"}
    assert cmcd.check_event(dict(good)) == good
    with pytest.raises(InputError, match=says):
        cmcd.check_event(good | change)


@pytest.mark.parametrize("missing", ["e", "ts", "sid"])
def test_what_an_event_must_say(missing: str) -> None:
    report = {"sid": "s", "e": "t", "ts": 1}
    del report[missing]
    with pytest.raises(InputError, match=missing):
        cmcd.check_event(report)


@pytest.mark.parametrize(
    ("report", "told", "stream"),
    [
        ({"cid": "demo/cam"}, "", "demo/cam"),
        ({"cid": "film"}, "demo/cam", "demo/cam"),
        ({"cid": "demo/other"}, "demo/cam", "demo/cam"),
        ({"cid": "https://host/media/demo/cam/index.m3u8?token=x"}, "", "demo/cam"),
        ({"cid": "https%3A%2F%2Fhost%2Fmedia%2Fdemo%2Fcam%2Findex.m3u8"}, "", "demo/cam"),
        ({"url": "https://host/media/demo/cam/video/17/4.m4s"}, "", "demo/cam"),
        ({"cid": "film", "url": "/media/demo/cam/video.m3u8"}, "", "demo/cam"),
    ],
)
def test_which_stream_it_is_about(report: dict[str, Any], told: str, stream: str) -> None:
    assert stream_of(report, told) == StreamName.parse(stream)


@pytest.mark.parametrize("cid", ["", "film", "a/b/c", "Demo/Cam", "https://host/x.m3u8"])
def test_which_stream_cannot_be_told(cid: str) -> None:
    with pytest.raises(InputError):
        stream_of({"cid": cid})


def test_queries_are_not_kept() -> None:
    report = {"url": "/media/a/b/x?token=1", "nor": ["y?t=1", {"value": "z?t", "params": {}}]}
    assert cmcd.without_queries(report) == {
        "url": "/media/a/b/x",
        "nor": ["y", {"value": "z", "params": {}}],
    }


def test_media_requests_of_version_1() -> None:
    found = parse_query("_HLS_msn=3&CMCD=br%3D3200%2Cbs%2Cd%3D4004%2Cot%3Dv%2Csid%3D%22x%22%2Csu")
    assert found == {"br": 3200, "bs": True, "d": 4004, "ot": "v", "sid": "x", "su": True}
    assert parse_query("_HLS_msn=3") is None


def test_a_record_comes_back() -> None:
    report = Report("demo/cam", 1795700535200, parse_body(HLS.encode(), LINES).reports[0])
    value = cmcd.encode_report(report)
    assert cmcd.decode_report(value) == report
    assert cmcd.decode_report(value[:-1] + b',"v":2}') is None
    assert cmcd.decode_report(b'{"stream":"a/b","at":1,"cmcd":{}}') is None
    assert cmcd.decode_report(b"\xff") is None
    assert cmcd.decode_report(b'{"stream":"a/\xff","at":1,"cmcd":{"sid":"a"}}') is None
    assert cmcd.decode_report(b'{"stream":"a/b","at":1,"cmcd":{"sid":"\xff"}}') is None


@pytest.mark.parametrize("body", [b'{"sid":"\xff"}', b'"\xff"', b"[" * 50_000])
def test_json_that_is_none_is_the_senders_fault(body: bytes) -> None:
    with pytest.raises(InputError, match="not JSON"):
        parse_body(body, "application/json")


_KINDS = st.sampled_from([LINES, "application/json", "text/plain", "", "text/html"])


@given(st.one_of(st.binary(max_size=400), st.text('[]{}",:sidets=1\n()', max_size=400)), _KINDS)
def test_any_body_is_refused_with_a_sentence_or_kept_within_bounds(
    body: bytes | str, kind: str
) -> None:
    raw = body.encode() if isinstance(body, str) else body
    try:
        found = parse_body(raw, kind)
    except InputError as error:
        said = str(error)
        found = cmcd.Body([], [said])
    assert 0 < len(found.reports) + len(found.refused) <= cmcd.MOST_REPORTS
    for one in found.reports:
        record = Report("a/b", 1, one)
        assert cmcd.decode_report(cmcd.encode_report(record)) == record


_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=1100),
)
_JSON = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=3), inner),
)


@given(st.dictionaries(st.text(max_size=70), _JSON, max_size=70))
def test_any_json_object_is_a_report_or_refused(thing: dict[str, Any]) -> None:
    body = json.dumps([{"sid": "s", "e": "t", "ts": 1} | thing], allow_nan=False).encode()
    try:
        found = parse_body(body, "application/json")
    except InputError:
        return
    assert len(found.reports) + len(found.refused) == 1
    for one in found.reports:
        record = Report("a/b", 1, one)
        assert cmcd.decode_report(cmcd.encode_report(record)) == record
