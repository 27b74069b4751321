"""Live video on Apache Kafka."""
