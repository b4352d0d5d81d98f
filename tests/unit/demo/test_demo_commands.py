"""The demo's commands, sent through the domain's own decisions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import jiter
import pytest

from demo.baskets import Basket, BasketLine
from demo.commands import CommandRecord, commands
from demo.selection import Choice, Correction, order_id_of
from orders import Command, Order, decide, evolve, initial_state, parse_command
from unit.demo.made_up import basket_id_with

LINES = (
    BasketLine("11", "MILK", 2, 184, 90),
    BasketLine("12", "APPLES", 1, 100, 0),
    BasketLine("13", "BREAD", 1, 250, 250),
)


def basket(wanted: Callable[[Choice], bool], lines: tuple[BasketLine, ...] = LINES) -> Basket:
    paid_at = datetime(2017, 3, 1, 0, 0, 5, tzinfo=UTC)
    return Basket(basket_id_with(wanted, len(lines)), 330, paid_at, lines)


def plain(choice: Choice) -> bool:
    return not choice.voided and choice.correction is Correction.none


def removal(choice: Choice) -> bool:
    return not choice.voided and choice.correction is Correction.removal


def undo(choice: Choice) -> bool:
    return not choice.voided and choice.correction is Correction.undo


def voided(choice: Choice) -> bool:
    return choice.voided


def ordered(records: list[CommandRecord]) -> Order:
    """Give the order that these commands make; none may be refused, and each gives one event."""
    headers = dict(records[0].headers)
    order = initial_state(headers["ce_tenantid"].decode(), UUID(headers["ce_subject"].decode()))
    for record in records:
        attributes = {name.removeprefix("ce_"): value.decode() for name, value in record.headers}
        expected = attributes.get("expectedversion")
        command = Command(
            command_id=UUID(attributes["id"]),
            order_id=UUID(attributes["subject"]),
            tenant_id=attributes["tenantid"],
            actor=attributes["actor"],
            occurred_at=datetime.fromisoformat(attributes["time"]),
            data=parse_command(
                attributes["type"].removeprefix("orders."),
                jiter.from_json(record.value, float_mode="decimal"),
            ),
            expected_version=None if expected is None else int(expected),
        )
        (event,) = decide(command, order)
        order = evolve(order, event)
    return order


def test_a_basket_is_confirmed_with_its_totals() -> None:
    """A plain basket becomes a confirmed order of its lines, paid when the basket was and on that day."""
    source = basket(plain)
    order = ordered(list(commands(source)))
    assert (order.status, order.tenant_id, order.currency) == ("confirmed", "store-330", "USD")
    assert (order.totals.gross, order.totals.line_discount, order.totals.total) == (
        Decimal("7.18"),
        Decimal("3.40"),
        Decimal("3.78"),
    )
    assert (str(order.business_day), order.hour) == ("2017-03-01", 0)
    assert order.updated_at == source.paid_at
    assert order.created_at is not None
    assert order.created_at < source.paid_at


@pytest.mark.parametrize("lines", [LINES, LINES[:1]])
def test_an_undone_scan_leaves_the_totals(lines: tuple[BasketLine, ...]) -> None:
    """An undone second scan of the last line leaves the order as the basket is."""
    order = ordered(list(commands(basket(undo, lines))))
    assert (order.status, len(order.lines)) == ("confirmed", len(lines))
    assert order.totals == ordered(list(commands(basket(plain, lines)))).totals


def test_a_removed_line_is_the_chosen_one() -> None:
    """A removal takes the chosen line, with its discount, out of the order."""
    source = basket(lambda choice: removal(choice) and choice.line == 0)
    order = ordered(list(commands(source)))
    assert [line.product_id for line in order.lines] == ["12", "13"]
    assert order.totals.total == Decimal("1.00")


def test_a_void_follows_the_confirmation() -> None:
    """A voided basket is confirmed first and voided by the manager later."""
    source = basket(voided)
    order = ordered(list(commands(source)))
    assert order.updated_at == source.paid_at + timedelta(minutes=20)
    assert (order.status, order.confirmed, order.voided_by) == ("voided", True, "manager-330")


def test_the_same_basket_gives_the_same_records() -> None:
    """Loading twice sends the same records, each with an id of its own and keyed by the order's id."""
    source = basket(voided)
    first, second = list(commands(source)), list(commands(source))
    assert first == second
    assert len({dict(record.headers)["ce_id"] for record in first}) == len(first)
    assert {record.key for record in first} == {str(order_id_of(source.basket_id)).encode()}


def test_a_record_is_a_cloudevent() -> None:
    """A record carries the attributes of the messages table, and amounts as strings."""
    record = list(commands(basket(plain)))[1]
    headers = dict(record.headers)
    assert headers.keys() == {
        "content-type",
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_subject",
        "ce_tenantid",
        "ce_actor",
    }
    assert headers["ce_type"] == b"orders.AddItem"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["content-type"] == b"application/json"
    # The order began before midnight, in the day before the one it was paid on.
    assert headers["ce_time"] == b"2017-02-28T23:59:50Z"
    assert jiter.from_json(record.value) == {
        "line_id": "1",
        "product_id": "11",
        "name": "MILK",
        "quantity": "2",
        "unit_price": "1.84",
    }
