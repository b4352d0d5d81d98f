"""What the routes work with, put together once and carried by the app."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from query_service.access import Admission, Caller
from query_service.commands import Outcomes, Sender
from query_service.database import TenantDatabase
from query_service.freshness import Freshness
from query_service.limits import InHand, StreamLimit
from query_service.live import Following
from query_service.settings import QuerySettings
from runtime import Health


@dataclass(frozen=True)
class Service:
    """The parts of one query service. `stopping` is set when it is to end: streams end then."""

    settings: QuerySettings
    health: Health
    database: TenantDatabase
    admission: Admission
    freshness: Freshness
    streams: StreamLimit
    following: Following
    commands_in_hand: InHand
    outcomes: Outcomes
    sender: Sender
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


TheService = Annotated[Service, Depends(_service)]
TheCaller = Annotated[Caller, Depends(_caller)]
