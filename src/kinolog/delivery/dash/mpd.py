"""The MPD: Periods as XML (ISO/IEC 23009-1, DASH-IF IOP for low latency). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil
from typing import Final, NamedTuple
from xml.sax.saxutils import quoteattr

from kinolog.core.timebase import rescale
from kinolog.core.units import rfc3339
from kinolog.delivery.dash.periods import Period, Stretch
from kinolog.record.control import OpenTrack
from kinolog.timeline.measure import independent
from kinolog.timeline.segment import MICROSECONDS

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XMLNS: Final = "urn:mpeg:dash:schema:mpd:2011"
_LIVE_PROFILES: Final = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"
_UTC: Final = "urn:mpeg:dash:utc:http-iso:2014"
_ROLE: Final = "urn:mpeg:dash:role:2011"
_CHANNELS: Final = "urn:mpeg:mpegB:cicp:ChannelConfiguration"
_CONNECTED: Final = "urn:mpeg:dash:period-connectivity:2015"
_LOW_LATENCY: Final = "urn:dvb:dash:lowlatency:scope:2019"
"""dash.js passes over a service description whose scope it does not know, and its latency."""
_REGULAR: Final = 10
"""A segment of a regular track begins at most a so manieth of the target from where it should."""
_LEAST_LATENCY_MS: Final = 600
"""A player that holds less than three parts of 0.2 s stalls at a small delay of the network."""
_SPARE_TARGETS: Final = 2
"""By so much a window is deeper than the publisher's absence: players go by a manifest that is a
second or two old, and stand a little before what was published last."""


class Live(NamedTuple):
    """What a manifest that grows says beside its Periods. Times: Unix ms, and ms. `depth_ms`: how
    far back from now it goes; `part_ms`: 0 where there are no parts, and so no low latency;
    `fast_ms`: by how much the source's clock, which media time follows, is ahead of the time of day
    by now; `replay_ms`: how far behind now players are to begin and stay; 0 for the live edge."""

    published_ms: int
    depth_ms: int
    target_ms: int
    part_ms: int
    fast_ms: int = 0
    replay_ms: int = 0

    @property
    def latency_ms(self) -> int:
        """How far players should be behind the time of day, in media time."""
        return max(0, behind_ms(self.target_ms, self.part_ms) - self.fast_ms)

    def delay_ms(self, regular: bool) -> int:
        """How far behind what can be asked for players should begin that do not heed the latency.
        Shaka counts it from the newest part, and is later by what it takes to begin; it would never
        make that up (docs/explanation/dash.md)."""
        if self.replay_ms:
            return self.replay_ms
        if not (self.part_ms and regular):
            return self.latency_ms
        return max(self.part_ms, self.latency_ms - 2 * self.part_ms)

    @property
    def early_ms(self) -> int:
        """How long before its end, by the time of day, a segment can be asked for: from its first
        part on."""
        return max(0, self.target_ms - self.part_ms + self.fast_ms)


def behind_ms(target_ms: int, part_ms: int) -> int:
    """How far players should be behind what is published; `part_ms`: 0 where there are no parts."""
    return max(_LEAST_LATENCY_MS, 3 * part_ms + 100) if part_ms else 3 * target_ms


def depth_ms(least_ms: int, absent_ms: int, target_ms: int) -> int:
    """How far back from now a manifest goes that lists `least_ms` when the newest segment is
    `absent_ms` old: in whole steps, so that what is listed stays within while nothing comes. A
    player that falls out of it seeks to the present, and dash.js never leaves a place without
    media; one that is to begin before it is taken to the present, too."""
    spare_ms = _SPARE_TARGETS * target_ms
    if absent_ms <= spare_ms:
        return least_ms
    return least_ms * (1 + ceil((absent_ms + spare_ms) / least_ms))


Rates = Mapping[str, int]
"""Peak bits per second, by track."""


def closed(periods: Sequence[Period], rates: Rates, target_ms: int) -> str:
    """The manifest of a range that has ended: its Periods one after another, from 0 on."""
    texts = []
    at_us = 0
    before: Period | None = None
    for period in periods:
        length_us = period.end_us - period.start_us
        head = f'start="{_duration(at_us)}" duration="{_duration(length_us)}"'
        texts.append(_period(period, before, head, rates, None, regular=False))
        before = period
        at_us += length_us
    return (
        f'{_HEAD}<MPD xmlns="{_XMLNS}" profiles="{_LIVE_PROFILES}" type="static" '
        f'mediaPresentationDuration="{_duration(at_us)}" '
        f'maxSegmentDuration="{_duration(_longest_us(periods, target_ms))}" '
        f'minBufferTime="{_duration(1000 * target_ms)}">\n{"".join(texts)}</MPD>\n'
    )


def growing(periods: Sequence[Period], rates: Rates, live: Live, *, ended: bool) -> str:
    """The manifest of a stream that goes on, or, once it has ended, the last one.

    The presentation's time is the media's, which began at the capture's Unix time: so
    availabilityStartTime is 1970, and nothing moves from one manifest to the next.
    """
    texts = []
    before: Period | None = None
    regular = False
    for period in periods:
        head = f'start="{_duration(period.start_us)}"'
        if ended and period is periods[-1]:
            head += f' duration="{_duration(period.end_us - period.start_us)}"'
        regular = _regular(period, live.target_ms, regular)
        texts.append(_period(period, before, head, rates, live, regular=regular))
        before = period
    if ended:
        attributes = f'type="static" mediaPresentationDuration="{_duration(periods[-1].end_us)}" '
    else:
        attributes = (
            'type="dynamic" '
            f'publishTime="{rfc3339(live.published_ms)}" '
            f'minimumUpdatePeriod="{_duration(500 * live.target_ms)}" '
            f'timeShiftBufferDepth="{_duration(1000 * live.depth_ms)}" '
            f'suggestedPresentationDelay="{_duration(1000 * live.delay_ms(regular))}" '
        )
    # Shaka takes it for what must be buffered before it plays on.
    buffer_ms = live.part_ms or live.target_ms
    return (
        f'{_HEAD}<MPD xmlns="{_XMLNS}" profiles="{_LIVE_PROFILES}" {attributes}'
        'availabilityStartTime="1970-01-01T00:00:00Z" '
        f'maxSegmentDuration="{_duration(_longest_us(periods, live.target_ms))}" '
        f'minBufferTime="{_duration(1000 * buffer_ms)}">\n'
        f"{_service(live) if not ended else ''}{''.join(texts)}"
        f'<UTCTiming schemeIdUri="{_UTC}" value="/time"/>\n</MPD>\n'
    )


def _longest_us(periods: Sequence[Period], target_ms: int) -> int:
    """The longest segment. Shaka counts the live edge from it, so it is not rounded up."""
    found = [1000 * target_ms]
    for period in periods:
        for one in period.stretches:
            longest = max(one.run.table.dur[one.run.start : one.run.stop])
            found.append(rescale(longest, one.info.timescale, MICROSECONDS))
    return max(found)


def _service(live: Live) -> str:
    if live.replay_ms:
        # A target latency would draw players to the live edge; without a rate, dash.js keeps to the
        # delay at half speed.
        return '<ServiceDescription id="0"><PlaybackRate min="1" max="1"/></ServiceDescription>\n'
    latency = live.latency_ms
    scope = f'<Scope schemeIdUri="{_LOW_LATENCY}"/>' if live.part_ms else ""
    return (
        f'<ServiceDescription id="0">{scope}'
        f'<Latency target="{latency}" min="{latency // 2}" max="{3 * latency}"/>'
        '<PlaybackRate min="0.96" max="1.04"/></ServiceDescription>\n'
    )


def _period(
    period: Period,
    before: Period | None,
    head: str,
    rates: Rates,
    live: Live | None,
    *,
    regular: bool,
) -> str:
    sets = "".join(_sets(period, before, rates, live, regular=regular))
    return f'<Period id="{_period_id(period)}" {head}>\n{sets}</Period>\n'


def _period_id(period: Period) -> str:
    return f"{period.epoch}.{period.start_us}"


def _sets(
    period: Period, before: Period | None, rates: Rates, live: Live | None, *, regular: bool
) -> Iterator[str]:
    """An AdaptationSet for all video of one kind of codec, and one for each audio track. Its id is
    the same in every Period."""
    video = [one for one in period.stretches if one.info.kind == "video"]
    audio = [one for one in period.stretches if one.info.kind == "audio"]
    groups = [list(group) for _, group in groupby(video, lambda one: one.info.codec[:4])]
    for number, group in enumerate(groups, 1):
        texts = [_representation(one, period, rates, live, regular) for one in group]
        yield _set(number, group, before, number == 1, "".join(texts))
    for number, one in enumerate(audio, 101):
        text = _representation(one, period, rates, live, regular)
        yield _set(number, [one], before, number == 101, text)


def _set(
    number: int, group: Sequence[Stretch], before: Period | None, main: bool, texts: str
) -> str:
    info = group[0].info
    known = info.language not in ("", "und")
    language = f" lang={quoteattr(info.language)}" if known and info.kind == "audio" else ""
    stands_alone = independent(one.run for one in group)
    sap = ' startWithSAP="1"' if stands_alone else ""
    connected = ""
    if before is not None and _same_inits(group, before):
        value = quoteattr(_period_id(before))
        connected = f'<SupplementalProperty schemeIdUri="{_CONNECTED}" value={value}/>\n'
    role = "main" if main else "alternate"
    return (
        f'<AdaptationSet id="{number}" contentType="{info.kind}" mimeType="{info.kind}/mp4"'
        f'{language} segmentAlignment="true"{sap}>\n{connected}'
        f'<Role schemeIdUri="{_ROLE}" value="{role}"/>\n{texts}</AdaptationSet>\n'
    )


def _same_inits(group: Sequence[Stretch], before: Period) -> bool:
    inits = {one.info.name: one.info.init for one in before.stretches}
    return all(inits.get(one.info.name) == one.info.init for one in group)


def _representation(
    one: Stretch, period: Period, rates: Rates, live: Live | None, regular: bool
) -> str:
    info = one.info
    shape = _video(info) if info.kind == "video" else _audio(info)
    channels = ""
    if info.kind == "audio" and info.channels:
        channels = f'<AudioChannelConfiguration schemeIdUri="{_CHANNELS}" value="{info.channels}"/>'
    return (
        f'<Representation id="{info.name}" bandwidth="{max(1, rates.get(info.name, 1))}" '
        f"codecs={quoteattr(info.codec)}{shape}>{channels}\n"
        f"{_template(one, period, live, regular)}</Representation>\n"
    )


def _video(info: OpenTrack) -> str:
    size = f' width="{info.width}" height="{info.height}"' if info.width and info.height else ""
    if info.frame_rate <= 0:
        return size
    rate = Fraction(info.frame_rate).limit_denominator(1001)
    text = str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"
    return f'{size} frameRate="{text}"'


def _audio(info: OpenTrack) -> str:
    return f' audioSamplingRate="{info.sample_rate}"' if info.sample_rate else ""


def _template(one: Stretch, period: Period, live: Live | None, regular: bool) -> str:
    """SegmentTemplate by $Number$: with the duration where the segments are `regular`, so that
    players need not be told of the next; else with a SegmentTimeline. Where nothing more comes, the
    last number is told: a Period whose sound goes on behind its pictures lasts for one more."""
    scale, run, begin = one.info.timescale, one.run, one.begin
    base = f"{one.info.name}/{run.epoch}/"
    head = (
        f'<SegmentTemplate timescale="{scale}" '
        f'presentationTimeOffset="{rescale(period.start_us, MICROSECONDS, scale)}" '
        f'initialization="{base}init.mp4" media="{base}$Number$.m4s"'
    )
    if live is not None:
        head += _early(live)
    if live is None or not regular:
        return f'{head} startNumber="{run.first_msn}">{_timeline(one)}</SegmentTemplate>\n'
    target_ticks = rescale(live.target_ms, 1000, scale)
    # The number of the segment that the Period begins in.
    before = (rescale(period.start_us, MICROSECONDS, scale) - begin.dts) / target_ticks
    first = begin.msn + max(0, round(before))
    last = ""
    if period.whole:
        first = min(first, run.last_msn)  # the last may lie before the Period, but for its end
        last = f' endNumber="{run.last_msn}"'
    return f'{head} startNumber="{first}" duration="{target_ticks}"{last}/>\n'


def _early(live: Live) -> str:
    if not live.part_ms:
        return ""
    offset_us = 1000 * live.early_ms
    return f' availabilityTimeOffset="{_seconds(offset_us)}" availabilityTimeComplete="false"'


def _timeline(one: Stretch) -> str:
    table, run = one.run.table, one.run
    rows = zip(table.dts[run.start : run.stop], table.dur[run.start : run.stop], strict=True)
    lines = ["<SegmentTimeline>"]
    end = -1
    count = duration = 0
    for dts, dur in (*rows, *one.ahead):
        if count and dts == end and dur == duration:
            count += 1
        else:
            if count:
                lines.append(_repeat(count))
            at = f' t="{dts}"' if dts != end else ""
            lines.append(f'<S{at} d="{dur}"')
            count, duration = 1, dur
        end = dts + dur
    lines.append(_repeat(count))
    return "".join(lines) + "</SegmentTimeline>"


def _repeat(count: int) -> str:
    return f' r="{count - 1}"/>' if count > 1 else "/>"


def _regular(period: Period, target_ms: int, before: bool) -> bool:
    """Whether every segment is where its number says it should be, a whole number of targets from
    the begin of its stretch; as `before`, in the last Period, where none has ended yet."""
    if all(one.growing and one.run.count == 1 for one in period.stretches):
        return before
    return all(_on_grid(one, target_ms) for one in period.stretches)


def _on_grid(one: Stretch, target_ms: int) -> bool:
    target_ticks = rescale(target_ms, 1000, one.info.timescale)
    most = target_ticks // _REGULAR
    table, run, begin = one.run.table, one.run, one.begin
    for index in range(run.start, run.stop):
        due = begin.dts + (table.msn[index] - begin.msn) * target_ticks
        if abs(table.dts[index] - due) > most:
            return False
        if index < run.stop - 1 and abs(table.dur[index] - target_ticks) > most:
            return False
    # The last may be short.
    return table.dur[run.stop - 1] <= target_ticks + most


def _seconds(us: int) -> str:
    text = f"{us // MICROSECONDS}.{us % MICROSECONDS:06d}".rstrip("0")
    return text.rstrip(".")


def _duration(us: int) -> str:
    return f"PT{_seconds(us)}S"
