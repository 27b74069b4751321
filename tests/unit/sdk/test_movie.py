"""When a movie ends."""

from __future__ import annotations

from kinolog.sdk.flow import Begun, Mark
from kinolog.sdk.movie import Movie


def ends(*items: Begun | Mark) -> list[bool]:
    """After each item, whether the movie is over."""
    movie = Movie()
    found = []
    for item in items:
        movie.add(item)
        found.append(movie.over)
    return found


FIRST, SECOND = Begun(1, ()), Begun(2, ())


def test_an_end_that_a_session_follows_is_none() -> None:
    assert ends(FIRST, Mark.ENDED, SECOND, Mark.CLOSED, Mark.PRESENT) == [False] * 5


def test_the_last_end_before_the_present_is_the_end() -> None:
    assert ends(FIRST, Mark.ENDED, SECOND, Mark.ENDED, Mark.PRESENT) == [*[False] * 4, True]


def test_an_end_that_comes_while_one_follows_is_the_end() -> None:
    assert ends(FIRST, Mark.PRESENT, Mark.CLOSED, Mark.ENDED) == [False, False, False, True]
