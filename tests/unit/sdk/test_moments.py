"""Moments, the entrance and the choice of pictures, without Kafka."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from kinolog.core.errors import ConfigError, InputError, NameError_
from kinolog.sdk.chunk import Chunk
from kinolog.sdk.chunks import wish_of
from kinolog.sdk.connection import connect
from kinolog.sdk.decoder import Picture
from kinolog.sdk.entrance import Entrance
from kinolog.sdk.frames import Picker, frames
from kinolog.sdk.moment import as_datetime, moment_of
from kinolog.sdk.publish import Timeline, publish
from kinolog.testing.log_script import AUDIO, VIDEO

NOW_MS = 1_800_000_000_000


def test_moments_as_people_give_them() -> None:
    assert moment_of("live", NOW_MS) == "live"
    assert moment_of("earliest", NOW_MS) == "earliest"
    assert moment_of("-10m", NOW_MS) == NOW_MS - 600_000
    assert moment_of(1_700_000_000.25, NOW_MS) == 1_700_000_000_250
    assert moment_of(1_700_000_000, NOW_MS) == 1_700_000_000_000
    assert moment_of("2026-01-31T12:00:00Z", NOW_MS) == 1_769_860_800_000
    assert moment_of(datetime(2026, 1, 31, 12, tzinfo=UTC), NOW_MS) == 1_769_860_800_000
    for wrong in ("yesterday", "-10", datetime(2026, 1, 31)):
        with pytest.raises(InputError):
            moment_of(wrong, NOW_MS)
    with pytest.raises(InputError, match="in the future"):
        moment_of(NOW_MS / 1000 + 60, NOW_MS)


def test_mistakes_are_said_at_once() -> None:
    with pytest.raises(NameError_, match="slash too many"):
        wish_of("a/b/c", "live", None, follow=True)
    with pytest.raises(InputError, match="not after the start"):
        wish_of("a/b", "-10m", "-20m", follow=True)
    with pytest.raises(InputError, match="collection of names"):
        wish_of("a/b", "live", None, follow=True, tracks="video")
    there = connect("127.0.0.1:1")
    for wrong in ({"fps": 0}, {"size": (0, 10)}, {"format": "yuv"}):
        with pytest.raises(InputError):
            frames("a/b", connection=there, **wrong)  # type: ignore[arg-type]
    for bad in ({"fps": -1}, {"size": (33, 10)}, {"codec": "mpeg2"}, {"bitrate": "much"}):
        with pytest.raises(InputError):
            publish("a/b", connection=there, **bad)  # type: ignore[arg-type]


def chunk(track: str, start_ms: int, dur_ms: int = 100, *, ind: bool = False) -> Chunk:
    return Chunk(
        track, "video" if track == "v0" else "audio", "", 1, 0, 0, 0, start_ms, dur_ms, 1000,
        ind, as_datetime(start_ms), b"12345", b"", True, start_ms,
    )  # fmt: skip


def test_the_entrance_begins_with_the_last_keyframe() -> None:
    entrance = Entrance(1_250)
    entrance.opened([VIDEO.info, AUDIO.info])
    out = []
    for start in range(0, 2000, 100):
        out += entrance.push(chunk("v0", start, ind=start % 1000 == 0))
        out += entrance.push(chunk("a0", start + 30, ind=True))
    assert [c.wall_ms for c in out if c.track == "v0"] == list(range(1000, 2000, 100))
    # sound from before the keyframe, as far as it overlaps it
    assert [c.wall_ms for c in out if c.track == "a0"] == list(range(930, 2000, 100))


def test_the_entrance_after_a_pause_begins_with_the_new_session() -> None:
    entrance = Entrance(5_000)
    entrance.opened([VIDEO.info])
    assert entrance.push(chunk("v0", 0, ind=True)) == []
    entrance.opened([VIDEO.info])
    first = chunk("v0", 9_000, ind=True)
    assert entrance.push(first) == [first]
    assert entrance.passed


def test_the_entrance_holds_a_bounded_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinolog.sdk.entrance.MOST_HELD_BYTES", 50)
    entrance = Entrance(1_000_000)
    entrance.opened([VIDEO.info])
    given = [len(entrance.push(chunk("v0", start * 100))) for start in range(20)]
    assert given == [0] * 10 + [11] + [1] * 9


def test_the_live_entrance_opens_at_the_present() -> None:
    entrance = Entrance("live")
    entrance.opened([VIDEO.info])
    for start in range(5):
        assert entrance.push(chunk("v0", start * 1000, ind=True)) == []
    assert [c.wall_ms for c in entrance.arrived()] == [4_000]
    assert len(entrance.push(chunk("v0", 5_000))) == 1


def picture(time_us: int, duration_us: int) -> Picture:
    return Picture(None, time_us, duration_us, 0, 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate", "fps", "expected"), [(30, 5, 50), (30, 29.97, 300), (25, 10, 100), (30, None, 300)]
)
def test_pictures_picked_by_time(rate: int, fps: float | None, expected: int) -> None:
    picker = Picker("earliest", None, fps)
    count = 10 * rate
    kept = [
        at for at in range(count) if picker.wants(picture(at * 1_000_000 // rate, 10**6 // rate))
    ]
    assert abs(len(kept) - expected) <= 1
    if fps == 5:
        assert kept == list(range(0, 300, 6))


def test_pictures_picked_over_a_pause_and_a_clock_that_went_back() -> None:
    picker = Picker("earliest", None, 1.0)
    times = [0, 0.5, 1.0, 100.2, 100.7, 101.2, -50.0, -49.5, -49.0]
    kept = [t for t in times if picker.wants(picture(round(t * 1e6), 500_000))]
    assert kept == [0, 1.0, 100.2, 101.2, -50.0, -49.0]


def test_the_timeline_of_a_writer() -> None:
    line = Timeline(Fraction(10))
    assert line.next(None, 5_000) == (5_000, False)
    assert line.next(None, 5_001) == (5_100, False)  # as fast as it likes
    assert line.next(None, 5_900) == (5_900, False)  # half a second behind: moved on
    assert line.next(None, 9_000) == (9_000, True)  # a pause
    assert line.next(9_050, 9_000) == (9_050, False)
    with pytest.raises(InputError, match="not after"):
        line.next(9_050, 9_000)
    slow = Timeline(Fraction(1, 10))
    assert [slow.next(at, 0)[1] for at in (0, 10_000, 24_000, 60_000)] == [
        False, False, False, True
    ]  # fmt: skip


def test_which_kafka_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BOOTSTRAP_SERVERS", "KAFKA_CONFIG", "TOPIC_PREFIX", "DATA_DIR"):
        monkeypatch.delenv(f"KINOLOG_{name}", raising=False)
    with pytest.raises(ConfigError, match="none was named, and none runs in"):
        connect()
    (tmp_path / "kinolog.toml").write_text('bootstrap_servers = "file:1"\ntopic_prefix = "p"\n')
    assert connect().kafka.bootstrap_servers == "file:1"
    assert connect().kafka.prefix == "p"
    monkeypatch.setenv("KINOLOG_BOOTSTRAP_SERVERS", "env:1")
    assert connect().kafka.bootstrap_servers == "env:1"
    assert connect("given:1").kafka.bootstrap_servers == "given:1"
    tls = {"security.protocol": "SSL"}
    assert connect(kafka_config=tls).kafka.properties == tls
    (tmp_path / "client.properties").write_text("bootstrap.servers=props:1\nacks=all\n")
    monkeypatch.delenv("KINOLOG_BOOTSTRAP_SERVERS")
    (tmp_path / "kinolog.toml").write_text("")
    found = connect(kafka_config=tmp_path / "client.properties").kafka
    assert (found.bootstrap_servers, found.properties) == ("props:1", {"acks": "all"})
    with pytest.raises(ConfigError, match="there is no settings file"):
        connect(config=tmp_path / "none.toml")
