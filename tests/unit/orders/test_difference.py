"""What is different between two states of an order."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orders import CreateOrder, FieldChange, Order, OrderDifference, PricedLine, difference
from orders.commands import (
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    CommandData,
    ConfirmOrder,
    RemoveItem,
    VoidOrder,
)
from orders.difference import LineChange
from unit.orders.order_strategies import COMMANDS, HISTORIES, play

TEA = AddItem(product_id="tea", name="Tea", quantity=Decimal(2), unit_price=Decimal("1.50"))
JAM = AddItem(product_id="jam", name="Jam", quantity=Decimal(1), unit_price=Decimal("4.00"))
BEGIN: list[CommandData] = [CreateOrder(cashier_id="ann", currency="EUR"), TEA, JAM]
# Any two moments of one history.
MOMENTS = st.tuples(HISTORIES, st.lists(COMMANDS, max_size=3), st.integers(0), st.integers(0)).map(
    lambda drawn: moments([*drawn[0], *drawn[1]], drawn[2], drawn[3])
)


def moments(commands: list[CommandData], one: int, other: int) -> tuple[Order, Order]:
    ends = [number % (len(commands) + 1) for number in (one, other)]
    return play(commands[: ends[0]]), play(commands[: ends[1]])


def changed(before: list[CommandData], after: list[CommandData]) -> OrderDifference:
    return difference(play(before), play(after))


def test_a_line_added_removed_and_changed_are_told_apart() -> None:
    """A line is added, removed, or changed in the fields that differ; the totals follow to the cent."""
    found = changed(
        BEGIN,
        [*BEGIN, JAM, RemoveItem(line_id="2"), ChangeItemQuantity(line_id="1", quantity=Decimal(3))],
    )
    assert [line.line.line_id for line in found.lines_added] == ["3"]
    assert [(line.line.line_id, line.amounts.net) for line in found.lines_removed] == [("2", Decimal("4.00"))]
    (tea,) = found.lines_changed
    assert tea == LineChange(
        "1",
        "Tea",
        (
            FieldChange("quantity", Decimal(2), Decimal(3)),
            FieldChange("gross", Decimal("3.00"), Decimal("4.50")),
            FieldChange("net", Decimal("3.00"), Decimal("4.50")),
        ),
    )
    assert FieldChange("total", Decimal("7.00"), Decimal("8.50")) in found.totals
    assert (found.version_before, found.version_after, found.changes) == (3, 6, ())


def test_discounts_are_told_with_who_authorised_them() -> None:
    """A discount of the order and one of a line are changes of what they take off and of who allowed it."""
    found = changed(
        BEGIN,
        [
            *BEGIN,
            ApplyDiscount(percent=Decimal(10), authorised_by="max", reason="regular"),
            ApplyLineDiscount(line_id="2", amount=Decimal(1), authorised_by="eve"),
        ],
    )
    assert found.changes == (
        FieldChange("discount.percent", None, Decimal(10)),
        FieldChange("discount.authorised_by", None, "max"),
        FieldChange("discount.reason", None, "regular"),
    )
    (jam,) = found.lines_changed
    assert {change.field: change.after for change in jam.changes} == {
        "discount": Decimal("1.00"),
        "net": Decimal("3.00"),
        "discount.amount": Decimal("1.00"),
        "discount.authorised_by": "eve",
    }
    assert [change.field for change in found.totals] == [
        "line_discount",
        "subtotal",
        "order_discount",
        "total",
    ]


def test_a_void_is_a_change_of_status_with_its_reason() -> None:
    """Closing an order changes its own fields and no line."""
    found = changed(
        [*BEGIN, ConfirmOrder()],
        [*BEGIN, ConfirmOrder(), VoidOrder(reason="gone", authorised_by="max")],
    )
    assert found.changes == (
        FieldChange("status", "confirmed", "voided"),
        FieldChange("voided_reason", None, "gone"),
        FieldChange("voided_by", None, "max"),
    )
    assert found[3:7] == ((), (), (), ())


def test_lines_in_another_order_are_told() -> None:
    """A line that was taken out and put back at the end is no other line, but stands elsewhere."""
    again = TEA.model_copy(update={"line_id": "1"})
    found = changed(BEGIN, [*BEGIN, RemoveItem(line_id="1"), again])
    assert found.reordered
    assert found[4:7] == ((), (), ())


@given(HISTORIES)
def test_an_order_does_not_differ_from_itself(history: list[CommandData]) -> None:
    """Of one state nothing differs."""
    order = play(history)
    assert difference(order, order) == OrderDifference(
        order.version, order.version, (), (), (), (), (), reordered=False
    )


@given(MOMENTS)
def test_the_other_way_round_is_the_mirror(pair: tuple[Order, Order]) -> None:
    """What is added one way is removed the other, and every change goes back."""
    there, back = difference(*pair), difference(*reversed(pair))
    assert there.lines_added == back.lines_removed
    assert there.lines_removed == back.lines_added
    assert there.reordered == back.reordered
    assert set(there.changes) == {FieldChange(name, now, was) for name, was, now in back.changes}
    assert set(there.totals) == {FieldChange(name, now, was) for name, was, now in back.totals}
    assert {line.line_id for line in there.lines_changed} == {line.line_id for line in back.lines_changed}


@given(MOMENTS)
def test_the_differences_are_all_there_is(pair: tuple[Order, Order]) -> None:
    """One state with its differences applied is the other, in each field that is compared, and no more."""
    before, after = pair
    found = difference(before, after)
    assert applied(before, found) == seen(after)


def seen(order: Order) -> dict[str, Any]:
    """Give what is to be seen of an order, found another way than the difference finds it."""
    bare = replace(order, undo=(), redo=())
    totals = bare.totals._asdict()
    own = ["status", "cashier_id", "currency", "rounding", "business_day", "hour", "voided_reason"]
    fields = {name: getattr(bare, name) for name in [*own, "voided_by"]} if order.version else {}
    return {
        "fields": present({**fields, **discount(order.discount)}),
        "totals": {name: totals[name] for name in totals if name != "lines"} if order.version else {},
        "lines": {
            line.line_id: of_line(PricedLine(line, amounts))
            for line, amounts in zip(bare.lines, bare.totals.lines, strict=True)
        },
    }


def of_line(priced: PricedLine) -> dict[str, Any]:
    line, amounts = priced
    texts = {name: getattr(line, name) for name in ("product_id", "name", "quantity", "unit_price")}
    money = {name: getattr(amounts, name) for name in ("gross", "discount", "net")}
    return present({**texts, **money, **discount(line.discount)})


def discount(of: Any) -> dict[str, Any]:
    names = ("percent", "amount", "authorised_by", "reason")
    return {f"discount.{name}": getattr(of, name, None) for name in names}


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def applied(before: Order, found: OrderDifference) -> dict[str, Any]:
    result = seen(before)
    for name, changes in (("fields", found.changes), ("totals", found.totals)):
        move(result[name], changes)
    for gone in found.lines_removed:
        assert result["lines"].pop(gone.line.line_id) == of_line(gone)
    for line in found.lines_changed:
        move(result["lines"][line.line_id], line.changes)
    for new in found.lines_added:
        assert new.line.line_id not in result["lines"]
        result["lines"][new.line.line_id] = of_line(new)
    return result


def move(fields: dict[str, Any], changes: tuple[FieldChange, ...]) -> None:
    for name, was, now in changes:
        assert fields.pop(name, None) == was
        if now is not None:
            fields[name] = now
