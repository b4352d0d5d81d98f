"""Events as they happen: one tail of the topic for the whole service, fanned out to whoever follows."""

from query_service.live.feed import Feed, Shown, Subscription
from query_service.live.following import Following, LetGo
from query_service.live.stream import EventStream

__all__ = ["EventStream", "Feed", "Following", "LetGo", "Shown", "Subscription"]
