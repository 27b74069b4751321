"""Helpers of the end-to-end tests: servers as processes, media files, and what the log holds."""
