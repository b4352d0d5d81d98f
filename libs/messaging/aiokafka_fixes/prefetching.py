"""Has a consumer ask for more records only once it has none left.

A consumer that still holds records of one partition asks for the others' after 0.1 s. That question may wait
at the broker for as long as `fetch_max_wait_ms`, and meanwhile aiokafka asks that broker nothing else: the
partition whose records were handled at last gets no new ones, however many there are.
"""

from aiokafka import AIOKafkaConsumer

_NEVER = 3600.0


def fetch_only_when_empty(consumer: AIOKafkaConsumer) -> None:
    """Have a started consumer do so: aiokafka has no setting for it."""
    consumer._fetcher._prefetch_backoff = _NEVER  # noqa: SLF001 - see above
