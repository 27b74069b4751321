"""Reading bits from the most significant end, with exp-Golomb codes (14496-10, 9.1)."""

from __future__ import annotations

from kinolog.core.errors import MediaError


class BitReader:
    """A cursor over the bits of `data`. Reading past the end raises MediaError."""

    def __init__(self, data: bytes, what: str = "header") -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8
        self._what = what

    @property
    def bits_left(self) -> int:
        """Bits not read yet."""
        return self._left

    def u(self, bits: int) -> int:
        """An unsigned number of `bits` bits."""
        self._left -= bits
        if self._left < 0:
            raise MediaError(f"{self._what} is cut short")
        return (self._value >> self._left) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.u(1) == 1

    def skip(self, bits: int) -> None:
        """Pass over `bits` bits."""
        self.u(bits)

    def ue(self) -> int:
        """ue(v): an unsigned exp-Golomb code of at most 32 bits of value."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise MediaError(f"{self._what} has an exp-Golomb code over 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """se(v): a signed exp-Golomb code (14496-10, 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
