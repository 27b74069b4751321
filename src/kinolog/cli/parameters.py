"""How help shows parameters, in every verb."""

from __future__ import annotations

from typing import Any

from cyclopts import Parameter


def _default(value: Any) -> str | None:
    """Nothing for a flag that is off and a list that is empty."""
    if value is True:
        return "yes"
    if isinstance(value, tuple):
        value = " ".join(str(one) for one in value)
    return None if value in (None, False, "") else str(value)


PARAMETERS = Parameter(negative_iterable=(), show_default=_default)
