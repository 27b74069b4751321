"""`kinolog publish`: a file, camera, URL or the synthetic camera into the log."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from kinolog.cli.common import (
    MOMENT,
    KafkaFlags,
    kafka_of,
    note,
    settings_of,
    telling_of_deaths,
)
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError
from kinolog.core.names import StreamName
from kinolog.core.units import show_duration, unix_ms
from kinolog.ingest import publisher
from kinolog.ingest.encode_video import parse_target
from kinolog.ingest.session import Session
from kinolog.record.control import Profile
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings

_KAFKA = KafkaFlags()


def publish(
    source: str,
    stream: str,
    /,
    *,
    fast: Annotated[bool, Parameter(negative="")] = False,
    loop: Annotated[bool, Parameter(negative="")] = False,
    reconnect: Annotated[bool, Parameter(negative="--no-reconnect", show_default=False)] = True,
    at: Annotated[str | None, MOMENT] = None,
    encode: str | None = None,
    transcode_audio: Annotated[bool | None, Parameter(negative="--no-transcode-audio")] = None,
    fill_silence: Annotated[bool | None, Parameter(negative="--no-fill-silence")] = None,
    format: str | None = None,
    option: tuple[str, ...] = (),
    owner: str = "",
    profile: Profile | None = None,
    ack_log: Path | None = None,
    auto_create: Annotated[bool | None, Parameter(negative="--no-auto-create")] = None,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Publish SOURCE as STREAM (collection/name).

    SOURCE is anything that FFmpeg opens: a file, an RTSP camera, an HLS address, a device; or
    test: for the synthetic camera. A file goes at its own pace.

    Try it:

        kinolog publish film.mp4 demo/film --loop

        kinolog publish rtsp://admin@10.0.0.5/stream1 cams/gate

        kinolog publish /dev/video0 demo/webcam --format v4l2 --encode h264

        kinolog publish lecture.mkv talks/monday --fast --at 2026-01-31T09:00:00Z

        kinolog publish test:1280x720@30 demo/camera --encode vp9

    Parameters
    ----------
    source
        File, URL, device, or test:[WxH@FPS][?seconds=10&codec=vp9…].
    stream
        collection/name.
    fast
        As fast as Kafka takes it; ends at now unless --at says when it began.
    loop
        Again from the beginning, for ever.
    reconnect
        Open a live source again when it drops, as a camera does that restarts. [default: yes]
    at
        When its first picture was captured: -2h, 2026-01-31T12:00:00Z, or Unix seconds.
    encode
        Encode the video: h264, hevc, vp9 or av1, with a bit rate: vp9:2M.
    transcode_audio
        Make AAC of MP3, MP2, AC-3, G.711 and PCM; else such a track is left out. [default: yes]
    fill_silence
        Add a silent track where the source has no sound and the stream had some. [default: yes]
    format
        FFmpeg's name of the input format, where it cannot tell: v4l2, x11grab, mpegts.
    option
        An option of FFmpeg's for the input, key=value; may be repeated.
    owner
        User or tenant, for collections that place streams by owner.
    profile
        Latency: frame, low or standard. [default: the collection's]
    ack_log
        Append a JSON line for each acknowledged chunk.
    auto_create
        Make the collection where it is unknown. [default: yes]
    """
    settings = settings_of(
        kafka,
        profile=profile,
        ack_log=ack_log,
        auto_create=auto_create,
        transcode_audio=transcode_audio,
        fill_silence=fill_silence,
    )
    name = StreamName.parse(stream)
    origin = publisher.Source(
        source,
        format,
        dict(_option(text) for text in option),
        paced=not fast,
        loop=loop,
        encode=parse_target(encode) if encode else None,
        reconnect=reconnect,
        transcode_audio=settings.transcode_audio,
    )
    if loop and fast:
        raise ConfigError("--loop is for files at their own pace", hint="leave --fast out")
    roles.run(_publish(settings, name, origin, at, owner))


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(
            f"--option {text!r} is not key=value", hint="for example --option rtsp_transport=tcp"
        )
    return key, value


async def _publish(
    settings: Settings, name: StreamName, source: publisher.Source, at: str | None, owner: str
) -> None:
    clock = SystemClock()
    at_ms = unix_ms(at, clock.unix_ms()) if at else None
    source, total_ms = await source.measured()
    if source.loop and (source.live or source.synthetic):
        raise ConfigError("--loop is for files, and this source never ends")
    if at_ms is None and not source.paced:
        if total_ms is not None:
            at_ms = clock.unix_ms() - total_ms
        elif source.synthetic:
            raise ConfigError(
                "as fast as it goes, a camera that never ends is ahead of time at once",
                hint=f"say how long: {source.url}{'&' if '?' in source.url else '?'}seconds=60",
            )
    async with (
        telling_of_deaths(settings),
        roles.backend(kafka_of(settings)) as base,
        roles.ingest_desk(base, settings) as desk,
    ):
        with _Report(name, None if source.loop else total_ms) as report:
            task = asyncio.create_task(
                publisher.publish(
                    desk, name, source, clock, at_ms=at_ms, owner=owner, watch=report.see
                )
            )
            stop = asyncio.create_task(roles.until_signalled())
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                note("finishing: what was read is written (Ctrl-C again ends at once)")
                task.cancel()
                await asyncio.wait([task])
            stop.cancel()
            if not task.cancelled():
                task.result()
                report.done()


class _Report:
    """Progress on standard error: a bar at a terminal, else a line every ten seconds."""

    def __init__(self, name: StreamName, total_ms: int | None) -> None:
        self._name = name
        self._session: Session | None = None
        # Of connections before this one:
        self._earlier_packets = self._earlier_left_out = self._earlier_ms = 0
        self._skipped: set[str] = set()
        self._told = self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(str(name), total=total_ms, state="connecting")

    def __enter__(self) -> _Report:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def see(self, session: Session) -> None:
        """Called after each batch."""
        if session is not self._session:
            self._earlier_packets, self._earlier_left_out = self._packets, self._left_out
            self._earlier_ms = self._published_ms
            self._session = session
        self._skipped.update(session.skipped.values())
        now = time.monotonic()
        if now - self._told < (0.2 if self._bar.disable is False else 10):
            return
        self._told = now
        sent_ms = self._published_ms
        state = f"{self._packets} packets, {session.unacked_bytes / 1e6:.1f} MB under way"
        self._bar.update(self._task, completed=sent_ms, state=state)
        if self._bar.disable:
            note(f"{self._name}: {show_duration(sent_ms // 1000 * 1000)} published, {state}")

    @property
    def _published_ms(self) -> int:
        return self._earlier_ms + (self._session.published_ms if self._session else 0)

    @property
    def _packets(self) -> int:
        return self._earlier_packets + (self._session.packets if self._session else 0)

    @property
    def _left_out(self) -> int:
        return self._earlier_left_out + (self._session.left_out if self._session else 0)

    def done(self) -> None:
        """The end, and what was left out."""
        for codec in sorted(self._skipped):
            note(f"{self._name}: a track was left out, {codec} cannot be carried")
        seconds = time.monotonic() - self._started
        note(f"{self._name}: {self._packets} packets published in {seconds:.1f} s")
        if self._left_out:
            note(f"{self._name}: {self._left_out} packets were left out (gap records say which)")
