"""One reader's way through the events: from where it left off up to the live ones, and on with these."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from typing import Literal

from aiokafka.errors import KafkaError

from commands import ORDERS
from messaging import TopicReader, Vector
from queries import EventFilter, HeadersTest, Start
from query_service.database import RETRY_AFTER
from query_service.live.feed import Feed, Shown, Subscription, readable
from query_service.problems import Problem

# A sign of life, and the place to come back to where no event has brought one.
HEARTBEAT = 15.0
# So few records behind, the rest is read while the live ones already wait.
NEAR = 500
# Each reader that catches up has a consumer of its own, and so has each place while it is looked up.
CATCHING_UP_PER_TENANT = 2
CATCHING_UP = 6
LOOKING_UP = 2
OPEN_TIMEOUT = 15.0


class LetGo(Exception):
    """A reader gets no more; the text says why."""


class Following:
    """Gives readers their events. What is live is never read again, what is past never kept."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._looking_up = asyncio.Semaphore(LOOKING_UP)
        self._catching_up = asyncio.Semaphore(CATCHING_UP)
        self._turns: dict[str, asyncio.Semaphore] = {}

    @property
    def ready(self) -> bool:
        """Whether the topic is being followed, and Kafka answers."""
        return self._feed.ready

    async def begin(self, wanted: EventFilter, start: Start, held: ExitStack) -> AsyncGenerator[Shown, None]:
        """Return the events from `start` on (None: now), and places alone as signs of life.

        All that happens after this comes, whenever the first event is asked for; what waits until then is
        let go with `held`. Raises Problem: 400 for a place ahead of the topic, 410 for one that is gone with
        what it pointed at, 503 while Kafka is away.

        The events never end by themselves. They raise LetGo when no more may be given; KafkaError, OSError
        and TimeoutError when Kafka fails while the reader catches up.
        """
        if wanted.tenant is None:
            raise ValueError("a reader sees the events of one tenant")
        feed = self._feed
        if not feed.ready:
            raise _away()
        if isinstance(start, Vector) and start.topic_id != feed.topic_id:
            raise _made_anew()
        # Who is level is subscribed in the same moment: the answer begins only later.
        if start is None or (isinstance(start, Vector) and start.positions == feed.positions):
            return self._live(held.enter_context(feed.subscribe(wanted)))
        return self._caught_up(wanted, await self._looked_up(start))

    async def _looked_up(self, start: Vector | Literal["beginning"]) -> Vector:
        """Return the place with all partitions that there are. Raises Problem for one that there isn't."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT), self._looking_up, self._reader() as reader:
                topic_id, beginnings, ends = reader.topic_id, reader.beginnings, reader.ends
        except (KafkaError, OSError, TimeoutError) as error:
            raise _away() from error
        if not isinstance(start, Vector):
            return Vector.of(topic_id, beginnings)
        if topic_id != start.topic_id:
            raise _made_anew()
        positions = start.positions
        if any(offset > ends.get(number, -1) for number, offset in positions.items()):
            raise Problem.of_fields([("query.after", "is ahead of the topic: nothing was sent there yet")])
        if any(offset < beginnings[number] for number, offset in positions.items()):
            raise Problem.of("place-gone", "Events behind this place are not kept any more.")
        # A partition added since begins where it begins.
        return Vector.of(topic_id, {**beginnings, **positions})

    async def _caught_up(self, wanted: EventFilter, start: Vector) -> AsyncGenerator[Shown, None]:
        async with AsyncExitStack() as catching_up:
            of_tenant = self._turns.setdefault(wanted.tenant or "", asyncio.Semaphore(CATCHING_UP_PER_TENANT))
            for turn in (of_tenant, self._catching_up):
                while not await _taken(turn):
                    yield Shown(str(start), None)
                catching_up.callback(turn.release)
            async with asyncio.timeout(OPEN_TIMEOUT):
                reader = await catching_up.enter_async_context(self._reader())
            if reader.topic_id != start.topic_id:
                raise LetGo("the topic has changed")
            past = _Past(wanted.test(ORDERS.type_prefix), reader, start)
            while self._left(past) > NEAR:
                async for shown in past.up_to(self._feed.positions):
                    yield shown
            # Nothing is waited for since what is left was looked at.
            with self._feed.subscribe(wanted) as subscription:
                # Another service of this installation may have shown more than this one has seen yet.
                subscription.passed = past.beyond(subscription.first)
                async for shown in past.up_to(subscription.first):
                    yield shown
                await catching_up.aclose()
                async for shown in self._live(subscription):
                    yield shown

    def _reader(self) -> AbstractAsyncContextManager[TopicReader]:
        return TopicReader.open(self._feed.kafka, self._feed.topic)

    def _left(self, past: "_Past") -> int:
        """Return how many records are left up to the live ones. Raises LetGo where none are to be had."""
        if past.topic_id != self._feed.topic_id:
            raise LetGo("the topic has changed")
        if not self._feed.ready:
            raise LetGo("Kafka does not answer")
        return past.records_to(self._feed.positions)

    async def _live(self, subscription: Subscription) -> AsyncGenerator[Shown, None]:
        # A place alone lies behind all that was handed out: told before what still waits here, it would have
        # who comes back to it miss that.
        if subscription.waiting.empty() and subscription.ended is None:
            yield Shown(self._feed.place(subscription.passed), None)
        while subscription.ended is None:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    shown = await subscription.waiting.get()
            except TimeoutError:
                if not subscription.waiting.empty():
                    continue
                shown = Shown(self._feed.place(subscription.passed), None)
            if shown is not None:
                yield shown
        raise LetGo(subscription.ended)


class _Past:
    """What a reader has not seen of what was there before it came."""

    def __init__(self, test: HeadersTest, reader: TopicReader, start: Vector) -> None:
        self.topic_id = start.topic_id
        self._test = test
        self._reader = reader
        self._positions = start.positions
        self._spoken = time.monotonic()

    def records_to(self, target: Mapping[int, int]) -> int:
        """Return how many records are left up to the target."""
        return sum(max(0, end - self._positions.get(number, 0)) for number, end in target.items())

    def beyond(self, target: Mapping[int, int]) -> dict[int, int]:
        """Return the positions that are past the target."""
        return {number: at for number, at in self._positions.items() if at > target.get(number, 0)}

    async def up_to(self, target: Mapping[int, int]) -> AsyncIterator[Shown]:
        """Yield what is wanted of the records below the target, and signs of life."""
        for number in target:
            self._positions.setdefault(number, 0)
        first = {number: at for number, at in self._positions.items() if at < target.get(number, 0)}
        async for page in self._reader.pages(first, target):
            for record in page:
                self._positions[record.partition] = record.offset + 1
                if self._test.holds(dict(record.headers)) and (event := readable(record)):
                    yield self._shown(event)
            if time.monotonic() - self._spoken > HEARTBEAT:
                yield self._shown(None)
        # The last ones may have been deleted, or no records.
        self._positions.update({number: target[number] for number in first})

    def _shown(self, event: bytes | None) -> Shown:
        self._spoken = time.monotonic()
        return Shown(str(Vector.of(self.topic_id, self._positions)), event)


async def _taken(turn: asyncio.Semaphore) -> bool:
    try:
        async with asyncio.timeout(HEARTBEAT):
            return await turn.acquire()
    except TimeoutError:
        return False


def _made_anew() -> Problem:
    return Problem.of("place-gone", "The topic was made anew since: this place is of the one before.")


def _away() -> Problem:
    return Problem.of(
        "unavailable",
        "The events can't be followed at the moment: Kafka does not answer.",
        headers=RETRY_AFTER,
    )
