"""The query service in this process, over a real PostgreSQL, and tokens for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from integration.query_service.shop import Shop
from query_service.app import assembled, create_app
from query_service.settings import QuerySettings

ISSUER, AUDIENCE = "https://issuer.test", "tillstream"

NewClient = Callable[..., Any]


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


@pytest.fixture
async def new_client(database: Any, issuer: Issuer) -> AsyncIterator[NewClient]:
    """Give a maker of clients: each with its role, tenant and actor, of one service or of a new one.

    Settings given by name make another service.
    """
    async with AsyncExitStack() as stack:
        services: dict[str, Any] = {}

        async def app_of(settings: dict[str, Any]) -> Any:
            name = json.dumps(settings, sort_keys=True)
            if name not in services:
                made = QuerySettings(
                    **{
                        "database_url": database.dsn("query_service"),
                        "jwt_keys": issuer.key_set,
                        "jwt_issuer": ISSUER,
                        "jwt_audience": AUDIENCE,
                        **settings,
                    }
                )
                service = await stack.enter_async_context(assembled(made, asyncio.Event()))
                services[name] = create_app(service)
            return services[name]

        async def make(
            role: str | None = "manager",
            tenant: str = "store-1",
            actor: str = "anna",
            token: str | None = None,
            **settings: Any,
        ) -> httpx.AsyncClient:
            app = await app_of(settings)
            if token is None and role is not None:
                token = issuer.token(role, tenant, actor)
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers
            )
            return await stack.enter_async_context(client)

        yield make
