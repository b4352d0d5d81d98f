"""Moves the outbox to Kafka: reads rows in order, sends them, deletes what the broker acknowledged."""
