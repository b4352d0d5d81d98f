"""Following a topic without a consumer group, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from harness.topics import make_topic, widen_topic
from local.servers import Kafka, free_port
from messaging import KafkaConnection, RecordsGone, TopicMadeAnew, TopicTail
from messaging import tail as tail_module


class Topic:
    """One topic, and what is sent to it."""

    def __init__(self, bootstrap_servers: str, name: str) -> None:
        self.kafka = KafkaConnection(bootstrap_servers)
        self.name = name

    async def make(self, partitions: int = 2) -> None:
        await make_topic(self.kafka.bootstrap_servers, self.name, partitions)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def widen(self, partitions: int) -> None:
        await widen_topic(self.kafka.bootstrap_servers, self.name, partitions)

    async def remove(self) -> None:
        async with self._admin() as admin:
            await admin.delete_topics([self.name])

    async def forget_before(self, partition: int, offset: int) -> None:
        async with self._admin() as admin:
            await admin.delete_records({TopicPartition(self.name, partition): RecordsToDelete(offset)})

    async def send(self, *values: bytes, partition: int = 0) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for value in values:
                await producer.send_and_wait(self.name, value, partition=partition)


async def taken(tail: TopicTail, count: int, deadline: float = 60.0) -> list[bytes]:
    """Give the next records' values, once there are so many."""
    values: list[bytes] = []
    async with asyncio.timeout(deadline):
        while len(values) < count:
            values += [record.value for record in await tail.next_page()]
    return values


@pytest.fixture
async def topic(kafka_server: Any, topic_prefix: str) -> Topic:
    """Give a topic of two partitions."""
    made = Topic(kafka_server.bootstrap_servers, f"{topic_prefix}followed")
    await made.make()
    return made


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the topic's facts before each page."""
    monkeypatch.setattr(tail_module, "LOOK_INTERVAL", 0.0)


async def test_a_tail_starts_at_the_ends_and_gives_all_that_is_sent_after(topic: Topic) -> None:
    """What was there before is not given; what comes is, with positions behind it and ends known."""
    await topic.send(b"before")
    async with TopicTail.open(topic.kafka, topic.name) as tail:
        assert tail.positions == tail.ends == {0: 1, 1: 0}
        await topic.send(b"1", b"2")
        await topic.send(b"3", partition=1)
        assert sorted(await taken(tail, 3)) == [b"1", b"2", b"3"]
        assert tail.positions == tail.ends == {0: 3, 1: 1}
        assert tail.silent_for < 5


async def test_a_tail_starts_at_given_offsets(topic: Topic) -> None:
    """From given offsets on each record comes once; a partition that isn't named starts at its beginning."""
    await topic.send(b"0", b"1", b"2")
    await topic.send(b"other", partition=1)
    async with TopicTail.open(topic.kafka, topic.name, {0: 2}) as tail:
        assert sorted(await taken(tail, 2)) == [b"2", b"other"]


@pytest.mark.parametrize("first", [{0: 0}, {0: 3}, {2: 0}], ids=["deleted", "never there", "no partition"])
async def test_a_tail_is_not_opened_where_there_is_nothing(topic: Topic, first: dict[int, int]) -> None:
    """Offsets that were deleted, or never existed, are refused and not silently passed over."""
    await topic.send(b"0", b"1")
    await topic.forget_before(0, 1)
    with pytest.raises(RecordsGone):
        async with TopicTail.open(topic.kafka, topic.name, first):
            pass


async def test_a_page_waited_for_in_vain_costs_no_record(topic: Topic) -> None:
    """Waiting for a page can be given up at any moment, and nothing is passed over."""
    async with TopicTail.open(topic.kafka, topic.name) as tail:
        sending = asyncio.create_task(topic.send(*(b"%d" % number for number in range(60))))
        values: list[bytes] = []
        while len(values) < 60:
            waiting = asyncio.create_task(tail.next_page())
            await asyncio.wait({waiting}, timeout=0.003)
            waiting.cancel()
            got: Any = (await asyncio.gather(waiting, return_exceptions=True))[0]
            values += [record.value for record in got] if isinstance(got, list) else []
        await sending
        assert values == [b"%d" % number for number in range(60)]


@pytest.mark.usefixtures("looking_often")
async def test_an_added_partition_is_read_from_its_beginning(topic: Topic) -> None:
    """A partition added while the topic is followed is noticed, and none of its records is missed."""
    async with TopicTail.open(topic.kafka, topic.name) as tail:
        await topic.widen(3)
        await topic.send(b"first of the third", partition=2)
        assert await taken(tail, 1) == [b"first of the third"]
        assert tail.positions == {0: 0, 1: 0, 2: 1}


@pytest.mark.usefixtures("looking_often")
async def test_a_topic_made_anew_ends_its_tail(topic: Topic) -> None:
    """A topic of the same name and another id is said to be another, whatever its offsets are."""
    async with TopicTail.open(topic.kafka, topic.name) as tail:
        await topic.remove()
        await topic.make()
        with pytest.raises(TopicMadeAnew):
            await taken(tail, 1)


async def test_records_deleted_before_they_were_read_end_the_tail(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that were deleted under a tail are told of, never passed over in silence."""
    await topic.send(*(b"%d" % number for number in range(5)))
    async with TopicTail.open(topic.kafka, topic.name) as tail:
        await tail._disconnect()
        monkeypatch.setitem(tail.positions, 0, 2)
        await topic.forget_before(0, 4)
        with pytest.raises(RecordsGone, match="does not have"):
            await taken(tail, 1)


async def test_a_partition_that_stalls_beside_a_busy_one_goes_on(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition of which nothing is heard is taken up again though others bring records all the time."""
    monkeypatch.setattr(tail_module, "STALLED_AFTER", 1.0)
    stuck, busy = TopicPartition(topic.name, 0), TopicPartition(topic.name, 1)
    values: dict[TopicPartition, list[bytes]] = {stuck: [], busy: []}
    async with (
        TopicTail.open(topic.kafka, topic.name) as tail,
        AIOKafkaProducer(bootstrap_servers=topic.kafka.bootstrap_servers) as producer,
    ):
        assert tail._consumer
        tail._consumer.pause(stuck)
        sent = 0

        async def keep_busy() -> None:
            nonlocal sent
            while not values[stuck]:
                await producer.send_and_wait(topic.name, b"%d" % sent, partition=busy.partition)
                sent += 1
                await asyncio.sleep(0.02)

        async def take() -> None:
            for record in await tail.next_page():
                values[TopicPartition(record.topic, record.partition)].append(record.value)

        await producer.send_and_wait(topic.name, b"waits", partition=stuck.partition)
        async with asyncio.timeout(30):
            async with asyncio.TaskGroup() as work:
                work.create_task(keep_busy())
                while not values[stuck]:
                    await take()
            while len(values[busy]) < sent:
                await take()
    assert values == {stuck: [b"waits"], busy: [b"%d" % number for number in range(sent)]}


async def test_silence_lasts_until_kafka_answers(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new connection that brings no answer about a partition ends no silence."""
    monkeypatch.setattr(tail_module, "STALLED_AFTER", 0.7)
    resume = AIOKafkaConsumer.resume

    def resume_but_the_second(consumer: AIOKafkaConsumer, *partitions: TopicPartition) -> None:
        resume(consumer, *(each for each in partitions if each.partition != 1))

    with monkeypatch.context() as silent:
        silent.setattr(AIOKafkaConsumer, "resume", resume_but_the_second)
        async with TopicTail.open(topic.kafka, topic.name) as tail:
            with pytest.raises(TimeoutError):
                await taken(tail, 1, deadline=2.5)
            assert tail.silent_for > 2
            silent.undo()
            await topic.send(b"1", partition=1)
            assert await taken(tail, 1) == [b"1"]
            assert tail.silent_for < 2


async def test_a_tail_outlives_its_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the death of the broker, and a long silence, every record comes once and in order."""
    monkeypatch.setattr(tail_module, "STALLED_AFTER", 1.0)
    with Kafka(tmp_path, free_port()) as server:
        topic = Topic(server.bootstrap_servers, "followed")
        await topic.make(1)
        async with TopicTail.open(topic.kafka, topic.name) as tail:
            await topic.send(b"1")
            assert await taken(tail, 1) == [b"1"]
            await asyncio.to_thread(server.stop)
            with pytest.raises(TimeoutError):
                await taken(tail, 1, deadline=3)
            assert tail.silent_for > 1
            await asyncio.to_thread(server.start)
            await topic.send(b"2", b"3")
            assert await taken(tail, 2) == [b"2", b"3"]
            assert tail.positions == {0: 3}
