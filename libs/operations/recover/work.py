"""What every step of a recovery works with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, ParamSpec, Self

import asyncpg
from aiokafka import ConsumerRecord

from commands import Context
from messaging import KafkaConnection, TopicReader, Topics

P = ParamSpec("P")


class Step(NamedTuple):
    """How far one part of it is: `done` of `total` things. `waits_for` says what is in its way, if any."""

    doing: str
    done: int
    total: int
    waits_for: str = ""


class Work(NamedTuple):
    """A superuser's connection to the database, a context with its topics, and who is told how far it is."""

    conn: asyncpg.Connection
    kafka: KafkaConnection
    context: Context[Any]
    topics: Topics
    tell: Callable[[Step], None]

    async def whole(self, topic: str) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
        """Yield a topic's records page by page, one partition after the other, and tell how far it is.

        Raises KafkaError and OSError.
        """
        async with TopicReader.open(self.kafka, topic) as reader:
            total = sum(end - reader.beginnings[number] for number, end in reader.ends.items())
            read = 0
            for number, beginning in sorted(reader.beginnings.items()):
                async for records in reader.pages({number: beginning}, reader.ends):
                    yield records
                    read = min(read + len(records), total)
                    self.tell(Step(f"{topic} is read", read, total))
            # Of what a transaction left, or a deletion, there is less than the offsets say.
            self.tell(Step(f"{topic} is read", total, total))


class Behind:
    """Does one thing after the other, each while the next is prepared: the database does not wait for us."""

    def __init__(self) -> None:
        self._under_way: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            await self.wait()
        elif self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait([self._under_way])

    async def do(
        self, work: Callable[P, Coroutine[Any, Any, None]], *args: P.args, **named: P.kwargs
    ) -> None:
        """Begin it once what was begun before has ended. Raises what that raised."""
        await self.wait()
        self._under_way = asyncio.create_task(work(*args, **named))
        # Its question is out before the next page is read.
        await asyncio.sleep(0)

    async def wait(self) -> None:
        """Wait until all is done. Raises what it raised."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            await under_way
