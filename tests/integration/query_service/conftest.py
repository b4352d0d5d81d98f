"""The query service in this process, over a real PostgreSQL, and tokens for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from harness.servers import FreshDatabase, Servers
from integration.query_service.shop import Shop
from integration.query_service.town import town_database
from query_service.app import assembled, create_app
from query_service.settings import QuerySettings

ISSUER, AUDIENCE = "https://issuer.test", "tillstream"


class Issuer:
    """Signs tokens with a key of its own."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key()))
        self.key_set = json.dumps({"keys": [{**public, "kid": "one", "alg": "EdDSA", "use": "sig"}]})

    def token(
        self, role: str = "manager", tenant: str = "store-1", actor: str = "anna", **claims: Any
    ) -> str:
        """Give a token; a claim of None is left out."""
        everything = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 600,
            "sub": actor,
            "tenant": tenant,
            "role": role,
            **claims,
        }
        given = {name: value for name, value in everything.items() if value is not None}
        return jwt.encode(given, self.key, "EdDSA", headers={"kid": "one"})


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Give who issues the tokens."""
    return Issuer()


@pytest.fixture
async def shop(database: Any) -> AsyncIterator[Shop]:
    """Give a shop whose orders are stored in the test's database."""
    made = Shop(database)
    yield made
    await made.close()


class Clients:
    """Makes clients of query services over one database, each with its role, tenant and actor."""

    def __init__(self, database: Any, issuer: Issuer, stack: AsyncExitStack) -> None:
        self._database = database
        self._issuer = issuer
        self._stack = stack
        self._apps: dict[str, FastAPI] = {}

    async def app(self, **settings: Any) -> FastAPI:
        """Give the app of these settings, the same one for the same settings."""
        name = json.dumps(settings, sort_keys=True)
        if name not in self._apps:
            made = QuerySettings(
                **{
                    "database_url": self._database.dsn("query_service"),
                    # No Kafka, unless a test says where one is.
                    "kafka_bootstrap_servers": "127.0.0.1:1",
                    "jwt_keys": self._issuer.key_set,
                    "jwt_issuer": ISSUER,
                    "jwt_audience": AUDIENCE,
                    **settings,
                }
            )
            service = await self._stack.enter_async_context(assembled(made, asyncio.Event()))
            self._apps[name] = create_app(service)
        return self._apps[name]

    async def __call__(
        self,
        role: str | None = "manager",
        tenant: str = "store-1",
        actor: str = "anna",
        token: str | None = None,
        **settings: Any,
    ) -> httpx.AsyncClient:
        """Give a client; one without a role and a token sends no token."""
        app = await self.app(**settings)
        if token is None and role is not None:
            token = self._issuer.token(role, tenant, actor)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # What fails inside is to be answered, not raised: as it is outside of tests.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)
        return await self._stack.enter_async_context(client)


@pytest.fixture
async def new_client(database: Any, issuer: Issuer) -> AsyncIterator[Clients]:
    """Give a maker of clients over the test's own database."""
    async with AsyncExitStack() as stack:
        yield Clients(database, issuer, stack)


@pytest.fixture(scope="session")
def town(session_servers: Servers) -> Iterator[FreshDatabase]:
    """Give a database with the orders of two tenants, for tests that only read."""
    with town_database(session_servers) as found:
        yield found


@pytest.fixture
async def town_client(town: Any, issuer: Issuer) -> AsyncIterator[Clients]:
    """Give a maker of clients over the town."""
    async with AsyncExitStack() as stack:
        yield Clients(town, issuer, stack)
