"""Dictionaries of Structured Fields (RFC 9651, 4.2.2), which CMCD writes its reports in.

Values become what JSON can hold: integers and decimals numbers, strings and tokens strings,
booleans booleans; a byte sequence stays the base64 that it is, a date its Unix seconds. An inner
list is a list; an item with parameters is `{"value": …, "params": {…}}`.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from kinolog.core.errors import InputError

Bare: TypeAlias = "int | float | str | bool"
Value: TypeAlias = "Bare | dict[str, object] | list[Bare | dict[str, object]]"

MOST_KEYS: Final = 64
MOST_ITEMS: Final = 16
"""Of an inner list, and parameters of an item."""
MOST_TEXT: Final = 1024
"""Characters of a string, token or byte sequence."""

_KEY: Final = re.compile(r"[A-Za-z*][A-Za-z0-9_.*-]{0,63}(?![A-Za-z0-9_.*-])")
_ITEM: Final = re.compile(
    r"""(?P<decimal>-?[0-9]{1,12}\.[0-9]{1,3})(?![0-9.])
      | (?P<integer>-?[0-9]{1,15})(?![0-9.])
      | "(?P<string>(?:[ !\x23-\x5b\x5d-\x7e]|\\["\\])*)"
      | \?(?P<boolean>[01])
      | (?P<token>[A-Za-z*][!\x23-\x27*+.^_`|~0-9A-Za-z:/-]*)
      | :(?P<bytes>[A-Za-z0-9+/=]*):
      | @(?P<date>-?[0-9]{1,15})(?![0-9.])""",
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r'\\(["\\])')


def dictionary(text: str) -> dict[str, Value]:
    """`key=value,key,…` taken apart; of a key that stands twice the last counts. InputError, which
    says where, for what is no such thing, or is larger than the bounds above."""
    found: dict[str, Value] = {}
    reader = _Reader(text.strip(" "))
    while True:
        key = reader.key()
        found.pop(key, None)
        found[key] = reader.member() if reader.takes("=") else reader.flag()
        if len(found) > MOST_KEYS:
            raise InputError(f"more than {MOST_KEYS} keys")
        reader.space()
        if reader.at_end():
            return found
        if not reader.takes(","):
            raise reader.wrong("a comma")
        reader.space()


class _Reader:
    """A text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def takes(self, letter: str) -> bool:
        if not self._text.startswith(letter, self._at):
            return False
        self._at += 1
        return True

    def space(self) -> bool:
        """Pass over blanks; whether there were any."""
        begin = self._at
        while self._text.startswith((" ", "\t"), self._at):
            self._at += 1
        return self._at > begin

    def wrong(self, wanted: str) -> InputError:
        return InputError(f"{wanted} was expected at {self._text[self._at : self._at + 20]!r}")

    def key(self) -> str:
        found = _KEY.match(self._text, self._at)
        if found is None:
            raise self.wrong("a key of at most 64 characters")
        self._at = found.end()
        return found[0]

    def flag(self) -> Value:
        """A key without a value is true; it may have parameters."""
        return self._with_params(True)

    def member(self) -> Value:
        if not self.takes("("):
            return self._item()
        items: list[Bare | dict[str, object]] = []
        self.space()
        while not self.takes(")"):
            if len(items) >= MOST_ITEMS:
                raise InputError(f"a list of more than {MOST_ITEMS}")
            items.append(self._item())
            if not self.space() and not self._text.startswith(")", self._at):
                raise self.wrong("a blank or the end of a list")
        self._params()  # of the list as a whole: nothing in CMCD has any
        return items

    def _item(self) -> Bare | dict[str, object]:
        return self._with_params(self._bare())

    def _with_params(self, bare: Bare) -> Bare | dict[str, object]:
        params = self._params()
        return {"value": bare, "params": params} if params else bare

    def _params(self) -> dict[str, Bare]:
        found: dict[str, Bare] = {}
        while self.takes(";"):
            self.space()
            key = self.key()
            found[key] = self._bare() if self.takes("=") else True
            if len(found) > MOST_ITEMS:
                raise InputError(f"more than {MOST_ITEMS} parameters")
        return found

    def _bare(self) -> Bare:
        found = _ITEM.match(self._text, self._at)
        if found is None:
            raise self.wrong("a value")
        self._at = found.end()
        kind = found.lastgroup
        assert kind is not None
        text = found[kind]
        if len(text) > MOST_TEXT:
            raise InputError(f"a value of more than {MOST_TEXT} characters")
        match kind:
            case "integer" | "date":
                return int(text)
            case "decimal":
                return float(text)
            case "boolean":
                return text == "1"
            case "string":
                return _ESCAPED.sub(r"\1", text)
        return text
