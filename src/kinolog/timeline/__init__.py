"""Pure read model: what a reader makes of a stream's records, in log order."""
