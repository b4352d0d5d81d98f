"""The service's one tail of `orders.outcomes`, and the requests that wait for what it brings."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from aiokafka import ConsumerRecord

from commands import Request, derived_id
from commands.deciding import ACCEPTED, REJECTED
from messaging import (
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


class Outcome(NamedTuple):
    """What became of a command, as its message says.

    `of_this_body` tells that it answers this very body, and not perhaps another one under the same id.
    """

    accepted: bool
    of_this_body: bool
    data: dict[str, Any]


class Waiting:
    """The outcomes of one command id, as they come."""

    def __init__(self, request: Request) -> None:
        self._reused = derived_id(request, f"{REJECTED}:{request.fingerprint.hex()}")
        self._kinds = {derived_id(request, kind): kind for kind in (ACCEPTED, REJECTED)}
        self._come: asyncio.Queue[Outcome] = asyncio.Queue()

    async def next(self) -> Outcome:
        """Return the next outcome that may answer this command."""
        return await self._come.get()

    def see(self, outcome_id: str, data: dict[str, Any]) -> None:
        """Take an outcome of the command id; what was answered to other bodies under it is passed over."""
        if outcome_id == self._reused:
            self._come.put_nowait(Outcome(accepted=False, of_this_body=True, data=data))
        elif kind := self._kinds.get(outcome_id):
            self._come.put_nowait(Outcome(kind == ACCEPTED, of_this_body=False, data=data))


class Outcomes:
    """Follows the topic while `run` runs."""

    def __init__(self, kafka: KafkaConnection, topic: str, health: Health) -> None:
        self._kafka = kafka
        self._topic = topic
        self._tail: TopicTail | None = None
        self._waiting: defaultdict[tuple[str, UUID], set[Waiting]] = defaultdict(set)
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
                        for record in await tail.next_page():
                            self._see(record)
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
        key = (request.tenant_id, request.command_id)
        waiting = Waiting(request)
        self._waiting[key].add(waiting)
        try:
            yield waiting
        finally:
            self._waiting[key].discard(waiting)
            if not self._waiting[key]:
                del self._waiting[key]

    def _see(self, record: ConsumerRecord[bytes, bytes]) -> None:
        if not self._waiting:
            return
        try:
            envelope = open_envelope(record.headers, record.value)
            attributes = envelope.attributes
            key = (attributes.text("tenantid"), attributes.uuid("causationid"))
            for waiting in self._waiting.get(key, ()):
                waiting.see(attributes.text("id"), envelope.data())
        except (Undecodable, InvalidAttribute) as error:
            log.error(  # noqa: TRY400 - no fault of ours
                "outcomes.no_outcome", partition=record.partition, offset=record.offset, reason=str(error)
            )

    def _problem(self) -> str | None:
        if self._tail is None:
            return f"{self._topic} is not being followed"
        if (silent := self._tail.silent_for) > SILENCE:
            return f"Kafka has said nothing of {self._topic} for {silent:.0f} s"
        return None
