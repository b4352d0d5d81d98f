"""The places that readers of live events are told, to come back to."""

import pytest

from messaging import KafkaConnection
from queries import EventFilter
from query_service.live.feed import Feed, Shown
from query_service.live.following import Following, LetGo
from runtime import Health

EVENT = Shown("behind the event", b"{}")


async def test_what_waits_for_a_reader_is_told_before_a_place_behind_it() -> None:
    """A reader that was let go while events waited for it has not been told a place that leaves them out."""
    feed = Feed(KafkaConnection("127.0.0.1:1"), "orders.events", Health())
    with feed.subscribe(EventFilter(tenant="store-1")) as subscription:
        subscription.waiting.put_nowait(EVENT)
        live = Following(feed)._live(subscription)
        assert await anext(live) == EVENT
        subscription.waiting.put_nowait(EVENT)
        subscription.end("too slow")
        with pytest.raises(LetGo, match="too slow"):
            await anext(live)


async def test_a_reader_that_is_let_go_keeps_its_place() -> None:
    """An idle reader is let go without another place: an empty one would have it forget its own."""
    feed = Feed(KafkaConnection("127.0.0.1:1"), "orders.events", Health())
    with feed.subscribe(EventFilter(tenant="store-1")) as subscription:
        live = Following(feed)._live(subscription)
        assert (await anext(live)).place
        subscription.end("the topic has changed")
        with pytest.raises(LetGo, match="the topic has changed"):
            await anext(live)
