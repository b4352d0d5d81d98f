"""Events as they happen: one tail of the topic for the whole service, fanned out to whoever follows."""

from __future__ import annotations

from query_service.live.feed import Feed, Shown, Subscription
from query_service.live.following import BEGINNING, Following, LetGo
from query_service.live.stream import EventStream
from query_service.live.wanted import Wanted

__all__ = ["BEGINNING", "EventStream", "Feed", "Following", "LetGo", "Shown", "Subscription", "Wanted"]
