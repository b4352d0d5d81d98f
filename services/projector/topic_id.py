"""The id Kafka gave a topic when it was made; `till republish` asks for it too."""

from messaging import TopicFacts, fetch_topic, fetch_topic_id

__all__ = ["TopicFacts", "fetch_topic", "fetch_topic_id"]
