"""Takes commands from Kafka, decides them, and stores what follows from them in one transaction."""
