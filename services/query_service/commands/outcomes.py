"""The service's one tail of `orders.outcomes`, and the requests that wait for what it brings."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Self

import structlog
from aiokafka import ConsumerRecord

from commands import ACCEPTED, CLOCK_AHEAD_ATTRIBUTE, REJECTED, Request, outcome_id
from messaging import (
    Envelope,
    InvalidAttribute,
    KafkaConnection,
    RecordsGone,
    TopicMadeAnew,
    TopicTail,
    Undecodable,
    open_envelope,
)
from runtime import Health

log = structlog.get_logger(__name__)

RETRY_DELAY = 1.0
SILENCE = 10.0


class Told(NamedTuple):
    """What became of a command, as the message says that answers it."""

    data: Mapping[str, Any]
    decided_at: datetime
    clock_ahead: int | None

    @classmethod
    def by(cls, envelope: Envelope) -> Self:
        """Read it. Raises Undecodable and InvalidAttribute."""
        attributes = envelope.attributes
        is_ahead = attributes.get(CLOCK_AHEAD_ATTRIBUTE) is not None
        return cls(
            envelope.data(),
            attributes.time("time"),
            attributes.integer(CLOCK_AHEAD_ATTRIBUTE) if is_ahead else None,
        )


class Stopped(Exception):
    """No more outcomes are waited for."""


class Waiting:
    """The outcomes of one command id, as they come."""

    def __init__(self, request: Request) -> None:
        self._own = {
            outcome_id(request, ACCEPTED),
            outcome_id(request, REJECTED),
            outcome_id(request, REJECTED, reused=True),
        }
        self._come: asyncio.Queue[Told | Stopped | None] = asyncio.Queue()

    async def next(self) -> Told | None:
        """Return the command's outcome; None for one that may be its own, or another body's under its id.

        Such are those of copies that came before, and of earlier builds. Raises Stopped.
        """
        come = await self._come.get()
        if isinstance(come, Stopped):
            raise come
        return come

    def see(self, answer_id: str, told: Told) -> None:
        """Take an answer to the command id."""
        self._come.put_nowait(told if answer_id in self._own else None)

    def stop(self) -> None:
        """Wake who waits: nothing more comes."""
        self._come.put_nowait(Stopped())


class Outcomes:
    """Follows the topic while `run` runs."""

    def __init__(self, kafka: KafkaConnection, topic: str, health: Health) -> None:
        self._kafka = kafka
        self._topic = topic
        self._tail: TopicTail | None = None
        # By tenant and command id, as they stand in the headers.
        self._waiting: defaultdict[tuple[bytes | None, bytes | None], set[Waiting]] = defaultdict(set)
        self._stopped = False
        self._somebody = asyncio.Event()
        # Questions are answered without Kafka too.
        health.add_state("outcomes", self._problem)

    @property
    def ready(self) -> bool:
        """Whether an outcome that is sent from now on will be seen."""
        return self._problem() is None

    async def run(self) -> None:
        """Follow the topic until cancelled; what goes wrong is told, and tried again."""
        while True:
            try:
                async with TopicTail.open(self._kafka, self._topic) as tail:
                    self._tail = tail
                    while True:
                        page = await tail.next_page()
                        for record in page:
                            self._see(record)
                        await tail.rest(page, self._somebody)
            except (TopicMadeAnew, RecordsGone) as gone:
                log.error("outcomes.topic_changed", reason=str(gone))  # noqa: TRY400 - no fault of ours
            except Exception as error:  # noqa: BLE001 - told, and the next try may find it mended
                log.warning("outcomes.not_following", topic=self._topic, error=repr(error))
            finally:
                self._tail = None
            await asyncio.sleep(RETRY_DELAY)

    @contextmanager
    def wait_for(self, request: Request) -> Iterator[Waiting]:
        """Catch the outcomes of a command from now on, until the body ends."""
        key = (request.tenant_id.encode(), request.command_ref.encode())
        waiting = Waiting(request)
        self._waiting[key].add(waiting)
        self._somebody.set()
        if self._stopped:
            waiting.stop()
        try:
            yield waiting
        finally:
            self._waiting[key].discard(waiting)
            if not self._waiting[key]:
                del self._waiting[key]
            if not self._waiting:
                self._somebody.clear()

    async def stop_at(self, stopping: asyncio.Event) -> None:
        """Let all go who wait, and who come to wait, once the service is to end."""
        await stopping.wait()
        self._stopped = True
        for each in self._waiting.values():
            for waiting in each:
                waiting.stop()

    def _see(self, record: ConsumerRecord[bytes, bytes]) -> None:
        # Most are of commands that came by other ways.
        headers = dict(record.headers)
        waits = self._waiting.get((headers.get("ce_tenantid"), headers.get("ce_causationid")))
        if not waits:
            return
        try:
            envelope = open_envelope(record.headers, record.value)
            answer_id, told = envelope.attributes.text("id"), Told.by(envelope)
        except (Undecodable, InvalidAttribute) as error:
            log.error(  # noqa: TRY400 - no fault of ours
                "outcomes.no_outcome", partition=record.partition, offset=record.offset, reason=str(error)
            )
            return
        for waiting in waits:
            waiting.see(answer_id, told)

    def _problem(self) -> str | None:
        if self._tail is None:
            return f"{self._topic} is not being followed"
        if (silent := self._tail.silent_for) > SILENCE:
            return f"Kafka has said nothing of {self._topic} for {silent:.0f} s"
        return None
