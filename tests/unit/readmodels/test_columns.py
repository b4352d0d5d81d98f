"""What a read model gives to be written, beside the columns that its tables name."""

import re
from datetime import date
from uuid import UUID

import pytest

from orders import Event, OrderConfirmed, evolve, initial_state
from readmodels import READ_MODELS, AppliedEvent, EventRows, OrderChange, Provenance, ReadModel
from readmodels.columns import Columns
from unit.orders.order_scenarios import NOW, created, item

CONFIRMED = OrderConfirmed(subtotal=1, discount=0, total=1, business_day=date(2026, 11, 23), hour=12)


def change() -> OrderChange:
    """Give an order that was sold: of each read model it has a row, and an entry."""
    order, events = initial_state("store-1", UUID(int=1)), []
    for data in (created(), item(), CONFIRMED):
        event, before = Event(data, NOW), order
        order = evolve(order, event)
        events.append(AppliedEvent(event, Provenance("anna", NOW, UUID(int=2), "c"), before, order))
    return OrderChange(order, 0, 7, NOW, events)


@pytest.mark.parametrize("read_model", READ_MODELS.values(), ids=READ_MODELS)
def test_a_value_is_given_for_each_parameter(read_model: type[ReadModel]) -> None:
    """A row and an entry have as many values as the statement that writes them takes arrays."""
    (row,) = read_model.rows(change())
    given = len(row)
    if issubclass(read_model, EventRows):
        entries = list(read_model.entries(change()))
        assert {len(entry) for entry in entries} == {read_model.entry_columns}
        given += read_model.entry_columns
    numbers = re.findall(r"\$(\d+)", read_model.with_sql + read_model.write_sql)
    assert {int(number) for number in numbers} == set(range(1, given + 1))


def test_columns_are_found_where_the_table_is_made() -> None:
    """A comment and a collation are no columns; arrays and JSON are given as text, and cast."""
    columns = Columns.of(
        """
CREATE TABLE IF NOT EXISTS a_{generation}_orders (
    other text NOT NULL,
    PRIMARY KEY (other)
);
CREATE TABLE IF NOT EXISTS a_{generation} (
    tenant_id text COLLATE "C" NOT NULL,
    -- said of the next
    undoes integer[] NOT NULL,
    after jsonb,
    PRIMARY KEY (tenant_id)
);
""",
        "a_{generation}",
    )
    assert str(columns) == "tenant_id, undoes, after"
    assert columns.given("c", 3) == (
        "(SELECT * FROM unnest($3::text[], $4::text[], $5::text[]) {if_moved})"
        " AS c (tenant_id, undoes, after)"
    )
    assert columns.selected("c", after="'{}'") == "c.tenant_id, c.undoes::integer[], '{}'"
