"""Hypothesis strategies: commands as JSON values, histories of orders, and JSON of any shape."""

from decimal import Decimal
from functools import partial
from typing import Any

from hypothesis import strategies as st

from orders import COMMAND_TYPES, Order, Rejected, decide, initial_state, parse_command
from orders.commands import COMMAND_MODELS, CommandData, RedoLastChange, UndoLastChange
from unit.orders.order_scenarios import ORDER_ID, command, fold

PRINTABLE = st.characters(categories=["L", "M", "N", "P", "S"])
IDENTIFIERS = st.text(PRINTABLE, min_size=1, max_size=64).filter(str.isprintable)
# Few line ids and coarse numbers, so that commands meet each other.
LINE_IDS = st.sampled_from(["1", "2", "3", "tea"])
QUANTITIES = st.decimals("0.001", "20", places=3) | st.integers(1, 3)
PRICES = st.decimals(0, 100, places=2) | st.just(Decimal("999999999.99"))
PERCENTS = st.decimals("0.01", 100, places=2) | st.sampled_from([10, 0, 101])
AMOUNTS = st.decimals(0, 100, places=2)
NAMES = st.text(PRINTABLE, min_size=1, max_size=200)
CURRENCIES = st.sampled_from(["THB", "JPY", "KWD"])
ROUNDINGS = st.sampled_from(["half_up", "half_even", "down"])
AUTHORISED = {"authorised_by": IDENTIFIERS}
REASON = {"reason": NAMES}

FIELDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "CreateOrder": st.fixed_dictionaries(
        {"cashier_id": IDENTIFIERS, "currency": CURRENCIES},
        optional={
            "rounding": ROUNDINGS,
            "business_day": st.dates().map(str).filter(lambda day: "2000" < day < "2100"),
        },
    ),
    "AddItem": st.fixed_dictionaries(
        {"product_id": IDENTIFIERS, "name": NAMES, "quantity": QUANTITIES, "unit_price": PRICES},
        optional={"line_id": LINE_IDS},
    ),
    "RemoveItem": st.fixed_dictionaries({"line_id": LINE_IDS}),
    "ChangeItemQuantity": st.fixed_dictionaries({"line_id": LINE_IDS, "quantity": QUANTITIES}),
    "ApplyDiscount": st.fixed_dictionaries({"percent": PERCENTS, **AUTHORISED}, optional=REASON),
    "RemoveDiscount": st.just({}),
    "ApplyLineDiscount": st.one_of(
        st.fixed_dictionaries({"line_id": LINE_IDS, "percent": PERCENTS, **AUTHORISED}, optional=REASON),
        st.fixed_dictionaries({"line_id": LINE_IDS, "amount": AMOUNTS, **AUTHORISED}, optional=REASON),
    ),
    "RemoveLineDiscount": st.fixed_dictionaries({"line_id": LINE_IDS}),
    "ConfirmOrder": st.just({}),
    "VoidOrder": st.fixed_dictionaries({**REASON, **AUTHORISED}),
    "UndoLastChange": st.just({}),
    "RedoLastChange": st.just({}),
}
CHANGES = [name for name in COMMAND_TYPES if name not in {"CreateOrder", "ConfirmOrder", "VoidOrder"}]


def commands_of(types: list[str]) -> st.SearchStrategy[CommandData]:
    """Draw commands of these types, read as they come from outside."""
    return st.one_of([FIELDS[name].map(partial(parse_command, name)) for name in types])


COMMANDS = commands_of(list(COMMAND_TYPES))


def attempt(order: Order, data: CommandData) -> Order:
    """Give the order after a command, or as it was if the command is refused."""
    expected = order.version if isinstance(data, UndoLastChange | RedoLastChange) else None
    try:
        return fold(order, decide(command(data, expected_version=expected), order))
    except Rejected:
        return order


def play(commands: list[CommandData]) -> Order:
    order = initial_state("store-1", ORDER_ID)
    for data in commands:
        order = attempt(order, data)
    return order


HISTORIES = st.tuples(
    commands_of(["CreateOrder"]),
    commands_of(["AddItem"]),
    st.lists(st.one_of(commands_of(["AddItem"]), commands_of(CHANGES)), max_size=12),
).map(lambda drawn: [*drawn[:2], *drawn[2]])
OPEN_ORDERS = HISTORIES.map(play)
ORDERS = st.tuples(HISTORIES, st.lists(COMMANDS, max_size=2)).map(lambda drawn: play([*drawn[0], *drawn[1]]))

# What a JSON reader may give, and then some: numbers of any size, NaN, binary floats, half a surrogate pair.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [10**4000, -(10**64), Decimal("1E+999999"), Decimal("1E-999999"), "1E+999999", "9" * 5000]
    ),
    st.decimals(),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "L"]), max_size=5),
    QUANTITIES.map(str),
    IDENTIFIERS,
)
FIELD_NAMES = st.sampled_from(
    sorted({name for model in COMMAND_MODELS.values() for name in model.model_fields})
)
KEYS = FIELD_NAMES | st.text(st.characters(), max_size=5)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=8,
)
JSON_OBJECTS = st.dictionaries(KEYS, JSON, max_size=8)
# A type with data of any shape, of an object's shape, or of its own shape with a field or two gone wrong.
MESSAGES = st.sampled_from(COMMAND_TYPES).flatmap(
    lambda name: st.tuples(
        st.just(name),
        JSON | JSON_OBJECTS | st.tuples(FIELDS[name], JSON_OBJECTS).map(lambda drawn: drawn[0] | drawn[1]),
    )
)
