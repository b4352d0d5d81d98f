"""Events as they happen: what a reader gets, and from where on, over HTTP from a real Kafka."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from typing import Any
from uuid import uuid4

import pytest

from harness.waiting import eventually
from integration.query_service_live.following import DEADLINE, LiveService
from messaging import Vector
from queries import BEGINNING, EventFilter
from query_service.live import LetGo, Shown, feed, following


async def next_event(events: AsyncIterator[Shown]) -> Any:
    """Give the next event, over signs of life."""
    while (shown := await anext(events)).event is None:
        pass
    return json.loads(shown.event)


async def test_an_event_comes_as_it_is_on_the_topic(live: LiveService) -> None:
    """An event has the attributes of its message, with numbers as numbers, and its data as it was sent."""
    order_id = uuid4()
    async with live.reader() as reader:
        value = b'{"line_id":\n"1","quantity":"1.50","n":1.10}'
        await live.publish(7, order_id=order_id, kind="ItemAdded", value=value)
        (event,) = await reader.events(1)
        assert event["data"] == {"line_id": "1", "quantity": "1.50", "n": 1.1}
        assert {name: event[name] for name in event.keys() - {"id", "causationid", "data"}} == {
            "specversion": "1.0",
            "source": "tillstream",
            "type": "orders.ItemAdded",
            "subject": str(order_id),
            "time": "2026-03-01T12:00:00Z",
            "datacontenttype": "application/json",
            "tenantid": "store-1",
            "actor": "anna",
            "version": 7,
            "schemaversion": 1,
            "recordedtime": "2026-03-01T12:00:00Z",
            "correlationid": "c",
            "undoes": "2,3",
        }
        assert reader.response.headers["content-type"].startswith("text/event-stream")
        assert Vector.parse(reader.place).offsets == (1, 0)


async def test_a_reader_sees_its_tenant_and_what_it_asked_for(live: LiveService) -> None:
    """Another tenant's events never come; type, order and actor choose among one's own."""
    order_id = uuid4()
    async with (
        live.reader() as everything,
        live.reader(type=["ItemAdded", "OrderVoided"]) as of_types,
        live.reader(order_id=str(order_id)) as of_order,
        live.reader(actor="bob") as of_bob,
        live.reader(tenant="store-2") as of_another,
    ):
        await live.publish(1)
        await live.publish(2, kind="ItemAdded")
        await live.publish(3, order_id=order_id)
        await live.publish(4, tenant="store-2", order_id=order_id, kind="ItemAdded", actor="bob")
        await live.publish(5, actor="bob")
        await live.publish(6, order_id=order_id, actor="bob", kind="OrderVoided")
        assert await everything.numbers(5) == [1, 2, 3, 5, 6]
        assert await of_types.numbers(2) == [2, 6]
        assert await of_order.numbers(2) == [3, 6]
        assert await of_bob.numbers(2) == [5, 6]
        assert await of_another.numbers(1) == [4]


@pytest.mark.parametrize("as_header", [True, False])
async def test_a_reader_resumes_where_it_left_off(live: LiveService, as_header: bool) -> None:
    """With the last id, everything since comes once and in order, and what is live follows without a gap."""
    async with live.reader() as reader:
        await live.publish(1, 2, 3)
        assert await reader.numbers(2) == [1, 2]
        place = reader.place
    await live.publish(4, tenant="store-2")
    await live.publish(5, 6)
    start = {"headers": {"Last-Event-ID": place}} if as_header else {"after": place}
    async with live.reader(**start) as reader:
        assert await reader.numbers(3) == [3, 5, 6]
        await live.publish(7)
        assert await reader.numbers(1) == [7]
    async with live.reader(after="beginning", headers={"Last-Event-ID": reader.place}) as reader:
        assert not (await reader.block()).data, "the header wins"


async def test_readers_join_while_events_pour_in(live: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever readers come from the past, each sees every event once, in order within each partition."""
    monkeypatch.setattr(following, "NEAR", 3)
    count = 120
    orders = [uuid4(), uuid4()]

    async def pour() -> None:
        for version in range(1, count + 1):
            await asyncio.gather(
                *(live.publish(version, order_id=orders[part], partition=part) for part in (0, 1))
            )

    async def follow() -> None:
        async with live.reader(after="beginning") as reader:
            seen: dict[str, list[int]] = {str(order): [] for order in orders}
            for event in await reader.events(2 * count):
                seen[event["subject"]].append(event["version"])
            assert list(seen.values()) == [list(range(1, count + 1))] * 2

    async with asyncio.TaskGroup() as work:
        work.create_task(pour())
        for _ in range(8):
            work.create_task(follow())
            await asyncio.sleep(0.05)


async def test_a_reader_that_breaks_off_again_and_again_misses_nothing(
    live: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off in the middle and gone on with by Last-Event-ID, while events pour in: each comes once."""
    monkeypatch.setattr(following, "NEAR", 3)
    count = 80
    orders = [uuid4(), uuid4()]
    seen: dict[str, list[int]] = {str(order): [] for order in orders}
    at_a_time = itertools.cycle([1, 25, 4, 40, 9])

    async def pour() -> None:
        for version in range(1, count + 1):
            await asyncio.gather(
                *(live.publish(version, order_id=orders[part], partition=part) for part in (0, 1))
            )
            await asyncio.sleep(0.05)

    async def follow() -> None:
        place, left = "", 2 * count
        while left:
            start = {"headers": {"Last-Event-ID": place}} if place else {"after": "beginning"}
            async with live.reader(**start) as reader:
                for event in await reader.events(min(left, next(at_a_time))):
                    seen[event["subject"]].append(event["version"])
                    left -= 1
            place = reader.place

    async with asyncio.TaskGroup() as work:
        work.create_task(pour())
        work.create_task(follow())
    assert list(seen.values()) == [list(range(1, count + 1))] * 2


@pytest.mark.parametrize("from_now", [True, False])
async def test_nothing_is_missed_before_the_first_word(live: LiveService, from_now: bool) -> None:
    """What happens between the request and the answer's first word comes, from now and from a level place."""
    feed = live.service.following._feed
    start = None if from_now else Vector.of(feed.topic_id, feed.positions)
    with ExitStack() as held:
        events = await live.service.following.begin(EventFilter("store-1"), start, held)
        await live.publish(1)

        async def handed_out() -> bool:
            return feed.positions == {0: 1, 1: 0}

        await eventually(handed_out)
        async with aclosing(events), asyncio.timeout(DEADLINE):
            assert (await next_event(events))["version"] == 1
    assert not feed._readers


async def test_a_topic_made_anew_ends_who_is_behind(
    live: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits to catch up when the topic becomes another is told places of the old one, and let go."""
    monkeypatch.setattr(following, "HEARTBEAT", 0.1)
    await live.publish(1)
    service = live.service.following
    topic_id = service._feed.topic_id
    service._catching_up = turns = asyncio.Semaphore(0)
    with ExitStack() as held:
        async with (
            aclosing(await service.begin(EventFilter("store-1"), BEGINNING, held)) as events,
            asyncio.timeout(DEADLINE),
        ):
            service._feed._topic_id = uuid4()
            assert await anext(events) == (str(Vector(topic_id, (0, 0))), None)
            turns.release()
            with pytest.raises(LetGo, match="the topic has changed"):
                await next_event(events)


async def test_readers_that_catch_up_are_so_many(live: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tenants' readers have so many consumers between them; who waits for one gets signs of life."""
    monkeypatch.setattr(following, "HEARTBEAT", 0.1)
    service = live.service.following
    service._catching_up = asyncio.Semaphore(1)
    await live.publish(1, 2)
    await live.publish(3, tenant="store-2")
    with ExitStack() as held:
        async with aclosing(await service.begin(EventFilter("store-1"), BEGINNING, held)) as ahead:
            await next_event(ahead)
            async with live.reader(tenant="store-2", after="beginning") as waiting:
                for _ in range(3):
                    assert not (await waiting.block()).data
                await ahead.aclose()
                assert await waiting.numbers(1) == [3]


async def test_new_readers_are_told_that_kafka_is_silent(
    live: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Kafka can't be asked for a place in time, or has said nothing for long, the answer is 503."""
    await live.publish(1)
    async with live.client() as client, asyncio.timeout(DEADLINE):
        with monkeypatch.context() as full:
            full.setattr(following, "OPEN_TIMEOUT", 0.1)
            full.setattr(live.service.following, "_looking_up", asyncio.Semaphore(0))
            answer = await client.get("/v1/events", params={"after": "beginning"})
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        monkeypatch.setattr(feed, "SILENCE", -1.0)
        answer = await client.get("/v1/events")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert answer.headers["retry-after"]


async def test_a_place_that_another_service_gave_is_never_shown_again(live: LiveService) -> None:
    """What a reader has seen elsewhere doesn't come again, though this service has yet to see it itself."""
    await live.publish(1, 2)
    async with live.reader(after="beginning") as reader:
        await reader.numbers(2)
    service = live.service.following._feed
    service._positions[0] = 0
    async with live.reader(after=reader.place) as reader:
        assert Vector.parse((await reader.block()).place).offsets == (2, 0)
        subscription = next(iter(service._readers[b"store-1"]))
        assert subscription.passed == {0: 2}
        service._positions[0] = 2
        await live.publish(3)
        assert await reader.numbers(1) == [3]


async def test_a_place_that_can_not_be_gone_on_from_is_refused(live: LiveService) -> None:
    """A text that is no place, and a place ahead of the topic, are the asker's fault and say so."""
    topic_id = live.service.following._feed.topic_id
    async with live.client() as client:
        for after in (
            "",
            "x",
            "0.0",
            str(Vector(topic_id, (5, 0))),
            str(Vector(topic_id, (0, 0, 0))),
            "1" * 9000,
        ):
            answer = await client.get("/v1/events", params={"after": after})
            assert answer.status_code == 400, answer.text
            assert answer.json()["errors"][0]["field"] == "query.after"
        answer = await client.get("/v1/events", headers={b"Last-Event-ID": b"x\x85"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "header.last-event-id")
        answer = await client.get("/v1/events", params={"type": "Unheard"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "query.type")
        other = Vector(uuid4(), (0, 0))
        assert (await client.get("/v1/events", params={"after": str(other)})).status_code == 410
