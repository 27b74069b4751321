"""WebSocket delivery: a stream chunk by chunk, as it is appended to the log, or from any time."""
