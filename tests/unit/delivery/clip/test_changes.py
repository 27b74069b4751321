"""Where a clip's codec, or its parameters, change: said to the millisecond, or refused."""

from __future__ import annotations

import pytest

from kinolog.core.errors import InputError
from kinolog.delivery.clip.changes import MOST_TOLD, Change, changes, moments, refuse_codecs
from kinolog.record.control import OpenTrack

NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def track(codec: str, init: bytes = b"") -> OpenTrack:
    return OpenTrack("video", "video", codec, 90_000, init or codec.encode())


def test_a_session_with_the_same_parameters_is_no_change() -> None:
    same = track("avc1.64001e", b"one")
    assert changes({1: same, 2: same}, {1: NOON_MS, 2: NOON_MS + 5}) == []


def test_only_epochs_that_the_clip_has_count() -> None:
    infos = {1: track("avc1.64001e"), 2: track("vp09.00.30.08"), 3: track("avc1.64001e")}
    assert changes(infos, {1: NOON_MS, 3: NOON_MS + 5}) == []


def test_other_parameters_are_told_and_not_refused() -> None:
    infos = {1: track("avc1.64001e"), 4: track("avc1.640015")}
    found = changes(infos, {1: NOON_MS, 4: NOON_MS + 60_123})
    assert found == [Change(NOON_MS + 60_123, "video", "avc1.64001e", "avc1.640015")]
    refuse_codecs(found)
    # The sound changes with the pictures: one moment.
    sound = found[0]._replace(name="audio", before="mp4a.40.2", after="mp4a.40.2")
    assert moments([*found, sound]) == ["2026-01-01T12:01:00.123Z"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("avc1.64001e", "vp09.00.30.08"),
        ("vp09.00.30.08", "av01.0.04M.08"),
        ("mp4a.40.2", "opus"),
        ("mp4a.40.2", "mp4a.6b"),
    ],
)
def test_another_codec_is_refused_with_its_moment(before: str, after: str) -> None:
    found = changes({1: track(before), 2: track(after)}, {1: NOON_MS, 2: NOON_MS + 60_123})
    with pytest.raises(InputError) as error:
        refuse_codecs(found)
    assert f"at 2026-01-01T12:01:00.123Z from {before} to {after}" in str(error.value)


def test_there_and_back_are_two_moments_and_of_many_some_are_told() -> None:
    codecs = [track("avc1.64001e"), track("vp09.00.30.08")]
    count = MOST_TOLD + 4
    infos = {epoch: codecs[epoch % 2] for epoch in range(count)}
    found = changes(infos, {epoch: NOON_MS + 1000 * epoch for epoch in range(count)})
    assert len(found) == count - 1
    with pytest.raises(InputError, match="and 3 times more") as error:
        refuse_codecs(found)
    assert str(error.value).count("2026-") == MOST_TOLD == len(moments(found))
