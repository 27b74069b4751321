"""MediaPlaylist: one track's media playlist, rendered from its versions (RFC 8216bis, LL-HLS).

A pure function of the version, so every edge serves the same bytes. The text of a finished
segment is made once; a new version costs a join.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kinolog.core.timebase import rescale
from kinolog.delivery.hls.recorded import start_line
from kinolog.delivery.hls.text import date_line, decimal, map_line
from kinolog.timeline.segment import MICROSECONDS, Part, Segment
from kinolog.timeline.track import Version, target_seconds

HOLD_BACK_TARGETS = 3
PART_HOLD_BACK_TARGETS = 3
SKIP_TARGETS = 6


class _Text:
    """A segment's lines. `parts` grows with the segment; `end` is made when it has ended."""

    __slots__ = ("_full", "_longest_ticks", "date", "end", "lead", "map", "parts", "segment")

    def __init__(self, track: str, segment: Segment, part_ms: int) -> None:
        self._longest_ticks = rescale(part_ms, 1000, segment.timescale)
        self.segment = segment
        self.map = map_line(track, segment.epoch)
        count = segment.discontinuities
        self.lead = "#EXT-X-DISCONTINUITY\n" * count + self.map if count else ""
        self.date = date_line(segment.wall) if segment.wall else ""
        self.parts: list[str] = []
        self.end = ""
        self._full = ""

    def part_lines(self, track: str, count: int) -> list[str]:
        """The EXT-X-PART lines of the first `count` parts."""
        lines = self.parts
        if len(lines) < count:
            segment = self.segment
            base = f"{track}/{segment.epoch}/{segment.msn}"
            for part in segment.parts[len(lines) : count]:
                lines.append(_part_line(base, part, segment.timescale, self._longest_ticks))
        return lines if len(lines) == count else lines[:count]

    def slim(self, track: str) -> str:
        """An ended segment without its parts: EXTINF and URI, and EXT-X-GAP before them."""
        if not self.end:
            segment = self.segment
            seconds = decimal(segment.duration_ticks, segment.timescale)
            gap = "#EXT-X-GAP\n" if segment.gap else ""
            self.end = f"{gap}#EXTINF:{seconds},\n{track}/{segment.epoch}/{segment.msn}.m4s\n"
        return self.end

    def full(self, track: str) -> str:
        """An ended segment with its parts."""
        if not self._full:
            lines = self.part_lines(track, len(self.segment.parts))
            self._full = "".join(lines) + self.slim(track)
        return self._full


class Behind(NamedTuple):
    """What a playlist lists before the live window, and how much of that it leaves out.

    Its lines are `head`, `texts[start:stop]` and `foot`: the segments from `first_msn` up to the
    live one with which the playlist goes on, which begins with `lead`; `dropped` live segments
    before that are not listed. `tags` stand in the head of the playlist.
    """

    first_msn: int
    disc: int
    dropped: int = 0
    head: str = ""
    texts: Sequence[str] = ()
    start: int = 0
    stop: int = 0
    foot: str = ""
    lead: str = ""
    independent: bool = True
    tags: str = ""

    @property
    def text(self) -> str:
        """The lines, joined when a whole playlist is asked for: most ask for what is new."""
        return "".join((self.head, *self.texts[self.start : self.stop], self.foot))


class MediaPlaylist:
    """Renders the versions of one track. URLs are relative to `{track}.m3u8` beside `{track}/`.
    `query`: of the URL, which the URIs of other playlists have too."""

    def __init__(self, track: str, query: str = "") -> None:
        self._track = track
        self._query = f"?{query}" if query else ""
        self._texts: dict[Segment, _Text] = {}
        self._version: Version | None = None
        self._behind: Behind | None = None
        self._made: dict[bool, bytes] = {}

    @property
    def size(self) -> int:
        """So many bytes of playlists are kept."""
        return sum(map(len, self._made.values()))

    def forget(self) -> None:
        """Make what is asked for next anew."""
        self._version = self._behind = None
        self._texts, self._made = {}, {}

    def render(
        self, version: Version, *, skip: bool = False, behind: Behind | None = None
    ) -> bytes:
        """The playlist of a version, made at the first call; of the live window, or with what is
        `behind` it.

        With `skip` a delta update (EXT-X-SKIP), or the whole playlist where there is nothing
        to leave out.
        """
        if version is not self._version or behind is not self._behind:
            self._version, self._behind = version, behind
            self._made = {}
        made = self._made.get(skip)
        if made is None:
            skipped = 0
            if skip:
                skipped = skipped_segments(version) - (behind.dropped if behind else 0)
            if skip and skipped <= 0:
                made = self.render(version, behind=behind)
            else:
                made = self._render(version, skipped, behind).encode()
            self._made[skip] = made
        return made

    def _render(self, version: Version, skipped: int, behind: Behind | None) -> str:
        """`skipped`: of the live segments that are listed."""
        segments = version.segments
        lines = [_head(version, behind)]
        first = behind.dropped if behind is not None else 0
        if skipped:
            listed_before = segments[first].msn - behind.first_msn if behind is not None else 0
            lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={listed_before + skipped}\n")
        elif behind is not None:
            lines.append(behind.text)
        dated = all(segment.wall for segment in segments)
        newest = len(segments) - 1
        for index in range(first + skipped, newest + 1):
            text = self._text(segments[index], version.open.part_ms)
            if index > first:
                lines.append(text.lead)
            else:
                # The first segment of a playlist follows nothing; one after a skip does.
                lines.append(behind.lead if behind is not None and behind.head else text.map)
            if dated:
                lines.append(text.date)
            if index < version.parts_from or not text.segment.with_parts:
                lines.append(text.slim(self._track))
            elif index < newest or version.tail_ended:
                lines.append(text.full(self._track))
            else:
                lines.extend(text.part_lines(self._track, version.tail_parts))
        lines.append(self._foot(version))
        return "".join(lines)

    def _text(self, segment: Segment, part_ms: int) -> _Text:
        text = self._texts.get(segment)
        if text is None:
            self._prune()
            text = self._texts[segment] = _Text(self._track, segment, part_ms)
        return text

    def _prune(self) -> None:
        assert self._version is not None
        listed = self._version.segments
        if len(self._texts) > len(listed) + 8:
            texts = self._texts
            self._texts = {segment: texts[segment] for segment in listed if segment in texts}

    def _foot(self, version: Version) -> str:
        lines = []
        hint = version.hint
        if hint is not None:
            uri = f"{self._track}/{hint.epoch}/{hint.msn}.{hint.part}.m4s"
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{uri}"\n')
        for report in version.reports:
            part = f",LAST-PART={report.part}" if report.part >= 0 else ""
            uri = f"{report.track}.m3u8{self._query}"
            lines.append(f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={report.msn}{part}\n')
        if version.state == "ended":
            lines.append("#EXT-X-ENDLIST\n")
        return "".join(lines)


def skipped_segments(version: Version) -> int:
    """How many of the oldest segments are before the skip boundary (RFC 8216bis 6.2.5.1)."""
    boundary_us = SKIP_TARGETS * target_seconds(version.open) * MICROSECONDS
    segments = version.segments
    index = len(segments) if version.tail_ended else len(segments) - 1
    after_us = 0
    while index > 0 and after_us <= boundary_us:
        index -= 1
        after_us += segments[index].duration_us
    return max(index, 0)


def independent(version: Version) -> bool:
    """Every listed segment begins with a keyframe, and so can be decoded by itself."""
    segments = version.segments
    if not version.tail_ended and not segments[-1].independent:
        return False  # whether it will be a gap is not known at this version
    return all(segment.independent or segment.gap for segment in segments)


def _start_tag(version: Version) -> str:
    """EXT-X-START of a playlist that may go on, in which not every segment begins with a keyframe:
    where the newest does that is not nearer to the live edge than players are to be. They begin
    near the edge otherwise, and have nothing to show until the next keyframe; hls.js, which seeks
    to what it cannot decode, for three of them."""
    begins_us = 0
    edge_us = sum(segment.duration_us for segment in version.segments)
    hold_ms = 1000 * HOLD_BACK_TARGETS * target_seconds(version.open)
    if version.open.parts:
        hold_ms = PART_HOLD_BACK_TARGETS * version.open.part_ms
    found: int | None = None
    for segment in version.segments:
        if begins_us > edge_us - 1000 * hold_ms:
            break
        if segment.independent and not segment.gap:
            found = begins_us
        begins_us += segment.duration_us
    return start_line(0, found / 1000, always=True) if found is not None else ""


def _head(version: Version, behind: Behind | None) -> str:
    session = version.open
    segments = version.segments
    first_msn, disc = (segments[0].msn, segments[0].disc) if segments else (0, 0)
    decodable = independent(version)
    tags = ""
    if behind is not None:
        first_msn, disc, tags = behind.first_msn, behind.disc, behind.tags
        decodable = decodable and behind.independent
    elif version.state != "ended" and segments and not decodable:
        tags = _start_tag(version)
    target = target_seconds(session)
    part_info = ""
    part_hold = ""
    if session.parts or any(s.with_parts for s in segments[version.parts_from :]):
        part_hold = f",PART-HOLD-BACK={decimal(PART_HOLD_BACK_TARGETS * session.part_ms, 1000)}"
        part_info = f"#EXT-X-PART-INF:PART-TARGET={decimal(session.part_ms, 1000)}\n"
    return (
        "#EXTM3U\n"
        "#EXT-X-VERSION:9\n"
        f"#EXT-X-TARGETDURATION:{target}\n"
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={SKIP_TARGETS * target}.0"
        f"{part_hold},HOLD-BACK={HOLD_BACK_TARGETS * target}.0\n"
        f"{part_info}"
        f"#EXT-X-MEDIA-SEQUENCE:{first_msn}\n"
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{disc}\n"
        f"{'#EXT-X-INDEPENDENT-SEGMENTS' + chr(10) if decodable else ''}"
        f"{tags}"
    )


def _part_line(base: str, part: Part, timescale: int, longest_ticks: int) -> str:
    flags = ",INDEPENDENT=YES" if part.independent and not part.gap else ""
    if part.gap:
        flags += ",GAP=YES"
    # Where a publisher leaves out frames, one frame lasts, and parts of whole frames get too long
    # or too short. None may be said to be longer than PART-TARGET, or shorter than 85 % of it
    # before its segment's last; EXTINF has the whole segment's true duration.
    shortest_ticks = 0 if part.last or part.gap else -(-17 * longest_ticks // 20)
    ticks = min(max(part.duration_ticks, shortest_ticks), longest_ticks)
    seconds = decimal(ticks, timescale)
    return f'#EXT-X-PART:DURATION={seconds},URI="{base}.{part.index}.m4s"{flags}\n'
