"""docker-compose.yml from nothing, under load, with each service killed.

Runs with TILLSTREAM_SERVERS=containers, not wherever an engine answers: it builds an image and takes minutes.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pydantic import SecretStr

from commands import ORDERS
from demo import Comparison, commands, compare, expected_figures, read_baskets, read_figures
from demo.selection import order_id_of
from harness.arrival import wait_for_arrival
from harness.compose import Compose
from harness.waiting import eventually
from integration.query_service.conftest import AUDIENCE, ISSUER, Issuer
from messaging import KafkaConnection, committed_offsets
from messaging.topics import PARTITIONS
from readmodels import READ_MODELS
from runtime import Settings
from till.connecting import query_connection

SERVICES = ("command_service", "outbox_relay", *(f"projector_{name}" for name in READ_MODELS))
QUERY_SERVICE = "query_service"
EVENTS = [TopicPartition(ORDERS.topics().events, number) for number in range(PARTITIONS)]
# Far more than can be sent while the services are killed.
MOST_ORDERS = 60_000
_MOST_UNDECIDED = 4_000
_BASKETS_BETWEEN_LOOKS = 20


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Give who issues the tokens."""
    return Issuer()


@pytest.fixture(scope="module")
def compose(servers: str, tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Compose]:
    """Give an installation that has just come up from nothing."""
    if servers != "containers":
        pytest.skip("it needs a Docker engine: TILLSTREAM_SERVERS=containers runs it")
    with Compose(tmp_path_factory.mktemp("compose"), issuer.key_set, ISSUER, AUDIENCE) as compose:
        compose.run("build")
        compose.up()
        yield compose


@pytest.fixture
def where(compose: Compose) -> Settings:
    """Give the installation as a client on this machine sees it."""
    return Settings(
        kafka_bootstrap_servers=compose.bootstrap_servers,
        database_url=SecretStr(compose.database_url("query")),
    )


async def arrived(where: Settings, commands_of: dict[UUID, int]) -> Comparison:
    """Wait until these orders are in every read model, and compare with the data set."""
    await wait_for_arrival(where, commands_of)
    async with query_connection(where) as connection:
        found = await read_figures(connection)
    return compare(expected_figures(len(commands_of), found.orders.keys()), found)


class Feed:
    """Baskets for as long as the body of a test wants some, never so many that all is decided or none."""

    def __init__(self, where: Settings) -> None:
        self._where = where
        self.commands_of: dict[UUID, int] = {}
        self.sent = 0
        self.enough = False

    async def run(self) -> None:
        """Send whole baskets until it is enough."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._where.kafka_bootstrap_servers, acks="all", enable_idempotence=True
        )
        _, baskets = await asyncio.to_thread(read_baskets, MOST_ORDERS)
        await producer.start()
        try:
            async with query_connection(self._where) as connection:
                for basket in baskets:
                    records = list(commands(basket))
                    for record in records:
                        await producer.send(
                            "orders.commands", key=record.key, value=record.value, headers=record.headers
                        )
                    self.commands_of[order_id_of(basket.basket_id)] = len(records)
                    self.sent += len(records)
                    if self.enough:
                        break
                    if len(self.commands_of) % _BASKETS_BETWEEN_LOOKS == 0:
                        await eventually(partial(self._wanted, connection), deadline=180)
        finally:
            await producer.stop()

    async def _wanted(self, connection: asyncpg.Connection) -> bool:
        return self.enough or self.sent - await decided(connection) < _MOST_UNDECIDED


async def decided(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM command_outcomes"))


async def published(where: Settings) -> int:
    """Give how many events have ever been put on their topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=where.kafka_bootstrap_servers)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(EVENTS)).values())
    finally:
        await consumer.stop()


async def progress(service: str, where: Settings, connection: asyncpg.Connection) -> int:
    """Give how much a service has done, as a number that only grows."""
    if service == "command_service":
        return await decided(connection)
    if service == "outbox_relay":
        return await published(where)
    group = f"projector.{service.removeprefix('projector_')}"
    committed = await committed_offsets(KafkaConnection.of(where), group, EVENTS)
    return sum(place.offset for place in committed.values())


def test_everything_is_healthy_and_confined(compose: Compose) -> None:
    """Each of our containers is healthy, is not root, and can neither write its files nor gain a right."""
    for service in (*SERVICES, QUERY_SERVICE):
        container = compose.container(service)
        host = container["HostConfig"]
        assert container["State"]["Health"]["Status"] == "healthy"
        assert container["Config"]["User"] == "10001:10001"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Memory"] == 512 * 1024 * 1024
        assert not host["PortBindings"] or service == QUERY_SERVICE
    assert compose.container("migrate")["State"]["ExitCode"] == 0
    for server in ("postgres", "kafka", QUERY_SERVICE):
        bindings = compose.container(server)["HostConfig"]["PortBindings"].values()
        assert [binding["HostIp"] for (binding,) in bindings] == ["127.0.0.1"]


def test_a_container_holds_no_secret_but_its_own(compose: Compose) -> None:
    """A service's container knows the password of its own role only, and the image knows none."""
    passwords = {name: value for name, value in compose.variables.items() if name.endswith("_PASSWORD")}
    for service in (*SERVICES, QUERY_SERVICE):
        environment = "\n".join(compose.container(service)["Config"]["Env"])
        role = "PROJECTOR" if service.startswith("projector") else service.upper()
        assert [name for name, value in passwords.items() if value in environment] == [
            f"TILLSTREAM_{role}_PASSWORD"
        ]
    image = compose.image()
    assert not [name for name, value in passwords.items() if value in image]


def test_the_query_service_answers_who_has_a_token(compose: Compose, issuer: Issuer) -> None:
    """It is reached on this machine, and takes the tokens of the key set that was mounted, and no others."""
    for token, status in ((issuer.token(), 200), (Issuer().token(), 401)):
        answer = httpx.get(f"{compose.query_service}/v1/orders", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text


def test_a_missing_password_is_named(compose: Compose, tmp_path: Path) -> None:
    """Without its passwords nothing starts, and the message says how to make them."""
    compose.run("config", "--quiet")
    empty = tmp_path / ".env"
    empty.touch()
    full, compose.env_file = compose.env_file, empty
    try:
        with pytest.raises(AssertionError, match=r"TILLSTREAM_\w+_PASSWORD.*make compose-env"):
            compose.run("config", "--quiet")
    finally:
        compose.env_file = full


def test_till_looks_into_it(compose: Compose) -> None:
    """`docker compose run till` reads the installation from within."""
    lag = json.loads(compose.run("run", "--rm", "--no-TTY", "till", "lag", "--output", "json"))
    assert lag["read_models"].keys() == READ_MODELS.keys()


@pytest.mark.timeout(900)
async def test_till_loads_from_outside_and_the_data_stays(
    compose: Compose, where: Settings, tmp_path: Path
) -> None:
    """`till load` works from outside by settings alone; stopped cleanly and begun again, all is there."""
    orders = 300
    loaded = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "till", "load", "--orders", str(orders), "--output", "json"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": where.kafka_bootstrap_servers,
            "TILLSTREAM_DATABASE_URL": compose.database_url("query"),
        },
    )
    assert json.loads(loaded.stdout)["orders"] == orders
    _, baskets = read_baskets(orders)
    commands_of = {order_id_of(basket.basket_id): len(list(commands(basket))) for basket in baskets}
    before = await arrived(where, commands_of)
    assert before.differences == []

    compose.run("stop", *SERVICES)
    assert exit_codes(compose, SERVICES) == [0] * len(SERVICES)
    compose.run("down")
    compose.up()
    assert await arrived(where, commands_of) == before


@pytest.mark.timeout(900)
async def test_figures_survive_the_end_of_every_service(compose: Compose, where: Settings) -> None:
    """Every service killed and crashed in mid-load, one by one: the read models equal the data set."""
    feed = Feed(where)
    story: list[str] = []
    async with query_connection(where) as connection:
        begun = {service: await progress(service, where, connection) for service in SERVICES}
        feeding = asyncio.create_task(feed.run())

        async def goes_on(service: str, above: int) -> None:
            async def further() -> bool:
                if feeding.done():
                    feeding.result()
                return await progress(service, where, connection) > above

            await eventually(further, deadline=180)

        for service in SERVICES:
            await goes_on(service, begun[service])
            # A kill by hand is a wish that the engine grants: the service stays away until it is asked back.
            await asyncio.to_thread(compose.run, "kill", service)
            killed_at = await progress(service, where, connection)
            assert not (await asyncio.to_thread(compose.container, service))["State"]["Running"]
            waiting = feed.sent - await decided(connection)
            await asyncio.to_thread(compose.run, "up", "--detach", service)
            await goes_on(service, killed_at)
            story.append(
                f"{service}: killed at {killed_at} with {waiting} commands undecided, came back by up"
            )

            # A crash is nobody's wish: the restart policy brings the service back.
            restarts = (await asyncio.to_thread(compose.container, service))["RestartCount"]
            await asyncio.to_thread(compose.crash, service)
            crashed_at = await progress(service, where, connection)
            await goes_on(service, crashed_at)
            container = await asyncio.to_thread(compose.container, service)
            assert container["RestartCount"] > restarts
            story.append(f"{service}: crashed at {crashed_at}, came back by itself")
            assert not feeding.done(), story
    feed.enough = True
    await feeding

    comparison = await arrived(where, feed.commands_of)
    assert comparison.differences == []
    assert comparison.orders_equal == comparison.orders == len(feed.commands_of)
    assert comparison.data_set == comparison.read_models
    print("\n".join([*story, f"{feed.sent} commands, {comparison}"]))  # noqa: T201 - for `pytest -rP`


def exit_codes(compose: Compose, services: Sequence[str]) -> list[int]:
    return [compose.container(service)["State"]["ExitCode"] for service in services]
