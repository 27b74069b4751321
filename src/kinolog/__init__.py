"""Live video on Apache Kafka: the log is the stream."""

__version__ = "0.1.0"
