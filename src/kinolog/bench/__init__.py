"""Measurements that users can repeat: latency by stage, what writing costs, viewers."""
