"""The SDK: streams as Python iterables, and publishing from arrays. Its surface is `kinolog`."""
