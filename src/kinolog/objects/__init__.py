"""Object storage: what outlives Kafka's retention. The only importer of obstore."""
