"""What `needs` marks ask of the machine beside programs and libraries."""

SMALL_DISK = "a right to mount"
"""As `needs` says it: the test fills a small file system of its own."""
