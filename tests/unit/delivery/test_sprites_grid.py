"""What a refused sheet advises is taken."""

from __future__ import annotations

import pytest

from kinolog.delivery.sprites import MOST_PICTURES, Grid, least_every_ms


@pytest.mark.parametrize("span_ms", [61_000, 800_000, 800_001, 3_599_999, 3_600_000, 3_600_001])
def test_the_least_distance_that_is_advised_fits(span_ms: int) -> None:
    every_ms = least_every_ms(span_ms)
    assert len(Grid(0, span_ms, every_ms, 160, 90).times_ms) <= MOST_PICTURES
    shorter = every_ms - 1000
    assert shorter < 2000 or len(Grid(0, span_ms, shorter, 160, 90).times_ms) > MOST_PICTURES
