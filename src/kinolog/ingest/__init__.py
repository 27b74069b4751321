"""The publishers' side: protocols yield packets, a session takes them into the log."""
