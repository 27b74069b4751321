"""Measurements that users can repeat: latency by stage, the writer, viewers. Ratios and spread."""
