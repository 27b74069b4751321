"""Clips: a stretch of a stream's past as one file, cut to the frame and not re-encoded."""
