"""Pure wire format, version 1: `docs/wire-format.md` is the contract, this is its code."""
