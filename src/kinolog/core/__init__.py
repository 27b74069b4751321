"""Errors, time, names and the other words that every layer shares."""
