"""Manifests: exact texts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest
from test_periods import AUDIO, US, VIDEO, row, run, stretches

from kinolog.delivery.dash import mpd
from kinolog.delivery.dash.periods import Begin, Period, Stretch, periods
from kinolog.record.control import OpenTrack

START = 1_700_000_000
RATES = {"video": 800_000, "audio": 128_000}
LIVE = mpd.Live(1000 * START + 4000, 30_000, 2000, 200)
NS = {"m": "urn:mpeg:dash:schema:mpd:2011"}
LOW_LATENCY = ' availabilityTimeOffset="1.8" availabilityTimeComplete="false"'


def video_of(*starts_s: float, first: int = 5, epoch: int = 7) -> list[Stretch]:
    rows = [row(VIDEO, first + n, START + at, epoch) for n, at in enumerate(starts_s)]
    return stretches(VIDEO, *rows)


def audio_of(*starts_s: float, first: int = 5, epoch: int = 7) -> list[Stretch]:
    rows = [row(AUDIO, first + n, START + at, epoch) for n, at in enumerate(starts_s)]
    return stretches(AUDIO, *rows)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text.encode())


def template_of(text: str, track: str = "video") -> dict[str, str]:
    found = parsed(text).find(f".//m:Representation[@id='{track}']/m:SegmentTemplate", NS)
    assert found is not None
    return dict(found.attrib)


def test_a_closed_range() -> None:
    found = periods({7: [video_of(0, 2), audio_of(0.01, 2.01)]}, 2 * US, growing=False)
    pto = START * 90_000
    assert mpd.closed(found, RATES, 2000) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011'
        ',urn:mpeg:dash:profile:cmaf:2019" type="static" mediaPresentationDuration="PT4.012S" '
        'maxSegmentDuration="PT2S" minBufferTime="PT2S">\n'
        f'<Period id="7.{START}000000" start="PT0S" duration="PT4.012S">\n'
        '<AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" '
        'startWithSAP="1">\n'
        '<Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>\n'
        '<Representation id="video" bandwidth="800000" codecs="avc1.64001f" width="1280" '
        'height="720">\n'
        f'<SegmentTemplate timescale="90000" presentationTimeOffset="{pto}" '
        'initialization="video/7/init.mp4" media="video/7/$Number$.m4s" startNumber="5">'
        f'<SegmentTimeline><S t="{pto}" d="180000" r="1"/></SegmentTimeline></SegmentTemplate>\n'
        "</Representation>\n</AdaptationSet>\n"
        '<AdaptationSet id="101" contentType="audio" mimeType="audio/mp4" '
        'segmentAlignment="true" startWithSAP="1">\n'
        '<Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>\n'
        '<Representation id="audio" bandwidth="128000" codecs="mp4a.40.2" '
        'audioSamplingRate="48000"><AudioChannelConfiguration '
        'schemeIdUri="urn:mpeg:mpegB:cicp:ChannelConfiguration" value="2"/>\n'
        f'<SegmentTemplate timescale="48000" presentationTimeOffset="{START * 48_000}" '
        'initialization="audio/7/init.mp4" media="audio/7/$Number$.m4s" startNumber="5">'
        f'<SegmentTimeline><S t="{START * 48_000 + 480}" d="96000" r="1"/></SegmentTimeline>'
        "</SegmentTemplate>\n"
        "</Representation>\n</AdaptationSet>\n</Period>\n</MPD>\n"
    )


def test_a_closed_range_leaves_out_the_absence() -> None:
    sessions = {7: [video_of(0, 2)], 8: [video_of(100, 102, 104, first=9, epoch=8)]}
    text = mpd.closed(periods(sessions, 2 * US, growing=False), RATES, 2000)
    root = parsed(text)
    assert root.get("mediaPresentationDuration") == "PT10.002S"
    found = [(p.get("start"), p.get("duration")) for p in root.findall("m:Period", NS)]
    assert found == [("PT0S", "PT4S"), ("PT4S", "PT6.002S")]
    connected = root.find(".//m:SupplementalProperty", NS)
    assert connected is not None
    assert connected.get("value") == f"7.{START}000000"


def test_a_live_stream_of_regular_segments() -> None:
    found = periods({7: [video_of(0, 2, 4)]}, 2 * US, growing=True)
    assert mpd.growing(found, RATES, LIVE, ended=False) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011'
        ',urn:mpeg:dash:profile:cmaf:2019" type="dynamic" publishTime="2023-11-14T22:13:24.000Z" '
        'minimumUpdatePeriod="PT1S" timeShiftBufferDepth="PT30S" '
        'suggestedPresentationDelay="PT0.3S" availabilityStartTime="1970-01-01T00:00:00Z" '
        'maxSegmentDuration="PT2S" minBufferTime="PT0.2S">\n'
        '<ServiceDescription id="0"><Scope schemeIdUri="urn:dvb:dash:lowlatency:scope:2019"/>'
        '<Latency target="700" min="350" max="2100"/><PlaybackRate min="0.96" max="1.04"/>'
        "</ServiceDescription>\n"
        f'<Period id="7.{START}000000" start="PT{START}S">\n'
        '<AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" '
        'startWithSAP="1">\n'
        '<Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>\n'
        '<Representation id="video" bandwidth="800000" codecs="avc1.64001f" width="1280" '
        'height="720">\n'
        f'<SegmentTemplate timescale="90000" presentationTimeOffset="{START * 90_000}" '
        f'initialization="video/7/init.mp4" media="video/7/$Number$.m4s"{LOW_LATENCY} '
        'startNumber="5" duration="180000"/>\n'
        "</Representation>\n</AdaptationSet>\n</Period>\n"
        '<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="/time"/>\n</MPD>\n'
    )


@pytest.mark.parametrize(
    ("absent_s", "depth_s"), [(-1, 30), (0, 30), (4, 30), (5, 60), (26, 60), (27, 90), (56, 90)]
)
def test_all_that_is_listed_stays_in_the_window_of_a_publisher_who_is_absent(
    absent_s: int, depth_s: int
) -> None:
    """By a manifest of some seconds ago a player would else fall out of it, or not get there."""
    assert mpd.depth_ms(30_000, 1000 * absent_s, 2000) == 1000 * depth_s


def test_the_template_counts_from_the_begin_of_the_period() -> None:
    (one,) = video_of(90, 92, first=50)
    one = one._replace(begin=Begin(5, START * 90_000))
    found = periods({7: [[one]]}, 2 * US, growing=True)
    template = template_of(mpd.growing(found, RATES, LIVE, ended=False))
    assert (template["startNumber"], template["duration"]) == ("5", "180000")


@pytest.mark.parametrize("starts_s", [(0, 2.3, 4.3), (0, 2, 4.4)])
def test_irregular_segments_are_listed_with_the_next(starts_s: tuple[float, ...]) -> None:
    (one,) = video_of(*starts_s)
    last_end = round((START + starts_s[-1] + 2) * 90_000)
    one = one._replace(growing=True, ahead=((last_end, 180_000),))
    text = mpd.growing(periods({7: [[one]]}, 2 * US, growing=True), RATES, LIVE, ended=False)
    template = template_of(text)
    assert template["startNumber"] == "5"
    assert "duration" not in template
    assert template["availabilityTimeComplete"] == "false"
    listed = parsed(text).findall(".//m:S", NS)
    assert sum(int(s.get("r", "0")) + 1 for s in listed) == 4


def test_a_session_that_has_just_begun_is_as_regular_as_the_one_before() -> None:
    for second_s, regular in ((2, True), (2.4, False)):
        (new,) = video_of(60, first=8, epoch=8)
        sessions = {7: [video_of(0, second_s, 2 + second_s)], 8: [[new._replace(growing=True)]]}
        text = mpd.growing(periods(sessions, 2 * US, growing=True), RATES, LIVE, ended=False)
        newest = parsed(text).findall("m:Period", NS)[1].find(".//m:SegmentTemplate", NS)
        assert newest is not None
        assert ("duration" in newest.attrib) == regular


def test_a_session_that_another_followed_says_its_last_number() -> None:
    sessions = {7: [video_of(0, 2, 4)], 8: [video_of(60, 62, first=8, epoch=8)]}
    text = mpd.growing(periods(sessions, 2 * US, growing=True), RATES, LIVE, ended=False)
    old, new = parsed(text).findall(".//m:SegmentTemplate", NS)
    assert old.get("endNumber") == "7"
    assert new.get("endNumber") is None
    # dash.js ends for good at a Period whose duration is told while nothing follows it.
    assert all(p.get("duration") is None for p in parsed(text).findall("m:Period", NS))


def test_a_stream_that_has_ended() -> None:
    found = periods({7: [video_of(0, 2, 4)]}, 2 * US, growing=False)
    root = parsed(mpd.growing(found, RATES, LIVE, ended=True))
    assert root.get("type") == "static"
    assert root.get("mediaPresentationDuration") == f"PT{START + 6}.002S"
    assert root.get("minimumUpdatePeriod") is None
    period = root.find("m:Period", NS)
    assert period is not None
    assert (period.get("start"), period.get("duration")) == (f"PT{START}S", "PT6.002S")


@pytest.mark.parametrize("ended", [True, False])
def test_of_what_has_ended_the_last_numbers_are_told(ended: bool) -> None:
    """With sound that goes on behind the pictures, the Period's length is that of one more."""
    sessions = {7: [video_of(0, 2, 4), audio_of(0.01, 2.01, 4.01)]}
    found = periods(sessions, 2 * US, growing=not ended)
    root = parsed(mpd.growing(found, RATES, LIVE, ended=ended))
    numbers = [t.get("endNumber") for t in root.findall(".//m:SegmentTemplate", NS)]
    assert numbers == (["7", "7"] if ended else [None, None])


def test_a_segment_that_hardly_reaches_into_the_last_period_is_listed_there() -> None:
    pictures = [*video_of(0, 2), *video_of(6, first=8)]
    sessions = {7: [pictures, audio_of(0.01, 2.01, 4.01)]}
    text = mpd.growing(periods(sessions, 2 * US, growing=False), RATES, LIVE, ended=True)
    last = parsed(text).findall("m:Period", NS)[-1]
    numbers = [
        (t.get("startNumber"), t.get("endNumber")) for t in last.findall(".//m:SegmentTemplate", NS)
    ]
    assert numbers == [("8", "8"), ("7", "7")]


@pytest.mark.parametrize("of_day", [True, False])
def test_the_last_period_has_all_that_is_listed(of_day: bool) -> None:
    """Also sound that goes on behind the pictures; before another, the pictures' end is its own."""
    frame_s = 1024 / 48_000
    sessions = {
        7: [video_of(0, 2), audio_of(0.01, 2.01)],
        8: [video_of(10, first=9, epoch=8), audio_of(10 + frame_s, first=9, epoch=8)],
    }
    found = periods(sessions, 2 * US, growing=False)
    if of_day:
        root, start_s = parsed(mpd.growing(found, RATES, LIVE, ended=True)), START + 10
    else:
        root, start_s = parsed(mpd.closed(found, RATES, 2000)), 4
    assert root.get("mediaPresentationDuration") == f"PT{start_s + 2}.023S"
    last = root.findall("m:Period", NS)[-1]
    assert (last.get("start"), last.get("duration")) == (f"PT{start_s}S", "PT2.023S")


def test_without_parts_there_is_no_low_latency() -> None:
    found = periods({7: [video_of(0, 2, 4)]}, 2 * US, growing=True)
    text = mpd.growing(found, RATES, LIVE._replace(part_ms=0), ended=False)
    assert "availabilityTimeOffset" not in text
    assert 'suggestedPresentationDelay="PT6S"' in text
    assert '<Latency target="6000"' in text
    assert "lowlatency" not in text


def sets_of(*infos: OpenTrack) -> list[ET.Element]:
    members = tuple(
        Stretch(info, run(info, row(info, 1, START)), Begin(1, START * info.timescale))
        for info in infos
    )
    text = mpd.closed([Period(7, START * US, members, whole=True)], {}, 2000)
    return parsed(text).findall(".//m:AdaptationSet", NS)


def test_sound_of_several_languages_and_video_of_other_codecs() -> None:
    german = msgspec.structs.replace(AUDIO, name="audio-2", language="deu", channels=6)
    vp9 = msgspec.structs.replace(VIDEO, name="video-2", codec="vp09.00.31.08", frame_rate=29.97)
    sets = sets_of(VIDEO, vp9, AUDIO, german)
    assert [one.get("id") for one in sets] == ["1", "2", "101", "102"]
    assert [one.get("lang") for one in sets] == [None, None, None, "deu"]
    roles = [one.find("m:Role", NS) for one in sets]
    found = [role.get("value") for role in roles if role is not None]
    assert found == ["main", "alternate", "main", "alternate"]
    representation = sets[1].find("m:Representation", NS)
    assert representation is not None
    assert representation.get("codecs") == "vp09.00.31.08"
    assert representation.get("frameRate") == "2997/100"


def test_sound_alone_and_names_that_xml_would_take_for_its_own() -> None:
    odd = msgspec.structs.replace(AUDIO, language='<&">', codec='o"<pus')
    (only,) = sets_of(odd)
    assert (only.get("contentType"), only.get("lang")) == ("audio", '<&">')
    representation = only.find("m:Representation", NS)
    assert representation is not None
    assert representation.get("codecs") == 'o"<pus'


def test_forced_cuts_take_the_promise_of_a_keyframe_away() -> None:
    rows = (row(VIDEO, 1, START), row(VIDEO, 2, START + 2, flags=0))
    found = periods({7: [stretches(VIDEO, *rows)]}, 2 * US, growing=False)
    assert "startWithSAP" not in mpd.closed(found, RATES, 2000)


@pytest.mark.parametrize(
    ("fast_ms", "latency", "early"), [(0, 700, "1.8"), (-3000, 3700, "0"), (500, 200, "2.3")]
)
def test_a_camera_whose_clock_is_wrong_by_now(fast_ms: int, latency: int, early: str) -> None:
    """Players compare media time with the time of day."""
    live = LIVE._replace(fast_ms=fast_ms)
    found = periods({7: [video_of(0, 2, 4)]}, 2 * US, growing=True)
    text = mpd.growing(found, RATES, live, ended=False)
    assert f'<Latency target="{latency}"' in text
    assert template_of(text)["availabilityTimeOffset"] == early


def test_periods_of_a_closed_range_do_not_overlap() -> None:
    """A gap of the sound alone, amid a segment of the picture: that is listed in both Periods."""
    audio = audio_of(0, 2) + audio_of(7, 9, first=8)
    found = periods({7: [video_of(0, 2, 4, 6, 8), audio]}, 2 * US, growing=False)
    root = parsed(mpd.closed(found, RATES, 2000))
    shown = [(p.get("start"), p.get("duration")) for p in root.findall("m:Period", NS)]
    assert shown == [("PT0S", "PT7S"), ("PT7S", "PT4.002S")]
    numbers = [t.get("startNumber") for t in root.findall(".//m:SegmentTemplate", NS)]
    assert numbers == ["5", "5", "8", "8"]
