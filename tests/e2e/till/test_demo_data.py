"""The demo's baskets through every service, and the check of what comes out."""

import asyncpg
from pydantic import SecretStr

from demo import Comparison, LoadedBaskets, compare, expected_figures, read_figures
from harness.arrival import wait_for_arrival
from harness.installation import Installation
from readmodels import READ_MODELS
from runtime import Settings
from till.connecting import query_connection
from till.verbs.load import load_baskets

ORDERS = 60


async def load_and_check(where: Settings) -> tuple[LoadedBaskets, Comparison]:
    """Send the first baskets, wait until they are in the read models, and compare with the data set."""
    loaded = await load_baskets(where, ORDERS)
    await wait_for_arrival(where, loaded.commands_of)
    return loaded, await check(where)


async def check(where: Settings) -> Comparison:
    async with query_connection(where) as connection:
        found = await read_figures(connection)
    return compare(expected_figures(ORDERS, found.orders.keys()), found)


async def test_baskets_become_the_figures_of_the_data_set(
    installation: Installation, admin: asyncpg.Connection
) -> None:
    """Loaded once or twice, the read models equal the data set; a difference planted in them is found."""
    for read_model in READ_MODELS:
        installation.service("projector", read_model)
    installation.service("outbox_relay")
    installation.service("command_service")
    where = Settings(
        kafka_bootstrap_servers=installation.bootstrap_servers,
        topic_prefix=installation.prefix,
        database_url=SecretStr(installation.database_url("query")),
    )

    loaded, comparison = await load_and_check(where)
    assert comparison.differences == []
    assert (comparison.orders, comparison.orders_equal) == (ORDERS, ORDERS)
    assert comparison.data_set == comparison.read_models
    assert comparison.data_set.orders + comparison.data_set.voids == ORDERS
    events = await admin.fetchval("SELECT count(*) FROM order_events")
    assert events == loaded.commands

    _, again = await load_and_check(where)
    assert again == comparison
    assert await admin.fetchval("SELECT count(*) FROM order_events") == events

    order_id = next(iter(loaded.commands_of))
    await admin.execute(
        "UPDATE projections.order_summary_1 SET total = total + 0.01 WHERE order_id = $1", order_id
    )
    (difference,) = (await check(where)).differences
    assert difference.key == str(order_id)
