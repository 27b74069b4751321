"""Readers of the log that write to the log: rebuild of the index."""
