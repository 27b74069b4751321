"""The archive: what aged out of Kafka, in object storage, read as if it were still there."""
