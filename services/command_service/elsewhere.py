"""Finds commands that lie in another partition than their order's others, by the fleet's partitioner.

Kafka keeps what is sent in order within a partition only. Where two clients choose partitions in different
ways, one order's commands lie in two of them, and a line may be decided before its order exists. No refusal
and nothing in Kafka says why.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from cachetools import LRUCache
from prometheus_client import Counter as Metric

from commands import WRONG_PARTITION, Request, read_source
from messaging import partition_of

log = structlog.get_logger(__name__)

FOUND = Metric(
    "tillstream_commands_elsewhere",
    "Commands in another partition than the fleet's partitioner gives their order.",
    ["topic"],
)


# So many sources are known as warned of.
_WARNED = 10_000


class Elsewhere:
    """Looks where each command of a topic lies.

    `partitioner` is `murmur2`, `crc32`, or `any` for no look; `count_partitions` asks Kafka, and what lies
    elsewhere is refused with `refuse`.
    """

    def __init__(
        self, topic: str, partitioner: str, count_partitions: Callable[[], Awaitable[int]], *, refuse: bool
    ) -> None:
        self._topic, self._partitioner, self._refuse = topic, partitioner, refuse
        self._count_partitions = count_partitions
        self._partitions = 0
        self._warned: LRUCache[str, bool] = LRUCache(_WARNED)
        self._found: Counter[str] = Counter()
        FOUND.labels(topic)

    @property
    def found(self) -> Mapping[str, int]:
        """Source → how many of its commands lay elsewhere and are not noted yet."""
        return dict(self._found)

    def noted(self, found: Mapping[str, int]) -> None:
        """Learn that these are noted in the database."""
        self._found -= Counter(found)

    async def assigned(self) -> None:
        """Learn how many partitions there are by now. Raises KafkaError."""
        if self._partitioner != "any":
            self._partitions = await self._count_partitions()

    def judge(self, request: Request, rejected: Callable[[str, str], Exception]) -> Request:
        """Return the request as it is, or refused where it lies elsewhere and that is not allowed."""
        belongs = self._belongs(request) if self._refuse else None
        if belongs is None or request.command is None:
            return request
        text = (
            f"The record lies in partition {request.record.partition}; by {self._partitioner} its key,"
            f" {request.subject}, belongs in {belongs}: set your client's partitioner, then send this under a"
            " new id."
        )
        return request._replace(command=None, refusal=rejected(WRONG_PARTITION, text))

    def tell(self, results: Iterable[tuple[Request, str]]) -> None:
        """Count the commands that lie elsewhere, once their results are stored; warn of each source once."""
        for request, result in results:
            # What was refused for something else, such as another order's key, has no place to be told of.
            if request.command is None and result != WRONG_PARTITION:
                continue
            belongs = self._belongs(request)
            if belongs is None:
                continue
            source = read_source(request.record)
            FOUND.labels(self._topic).inc()
            self._found[source] += 1
            if source not in self._warned:
                self._warned[source] = True
                log.warning(
                    "commands.elsewhere",
                    topic=self._topic,
                    source=source,
                    partition=request.record.partition,
                    belongs=belongs,
                    partitioner=self._partitioner,
                    advice="docs/partitioning.md names each client's option",
                )

    def _belongs(self, request: Request) -> int | None:
        """Return the partition that a request belongs in where that is another than it lies in."""
        if not self._partitions or request.subject is None:
            return None
        # By the id as it is written everywhere, whatever case the sender's key has.
        belongs = partition_of(request.subject.encode(), self._partitions, self._partitioner)
        return None if belongs == request.record.partition else belongs
