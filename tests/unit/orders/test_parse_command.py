"""Commands from outside: a command, or a refusal that names the field and the rule."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from orders import Rejected, RejectionCode, canonical_json, identifier, parse_command
from orders.commands import COMMAND_MODELS, AddItem, CommandData
from unit.orders.order_strategies import MESSAGES

ITEM = {"product_id": 7, "name": "Tea", "quantity": 2, "unit_price": "10.50"}
HUGE = 10**5000
NUMBER = "must be a plain decimal number such as 12.50"


def refusal(command_type: str, data: object) -> str:
    with pytest.raises(Rejected) as caught:
        parse_command(command_type, data)
    assert caught.value.code is RejectionCode.MALFORMED
    return caught.value.message


def parsed(command_type: str, data: object) -> CommandData | Rejected:
    try:
        return parse_command(command_type, data)
    except Rejected as rejection:
        return rejection


@given(MESSAGES)
def test_any_json_is_a_command_or_a_clear_refusal(message: tuple[str, Any]) -> None:
    """Whatever comes in, the answer is a command, or `malformed` in a short line that names a field."""
    command_type, data = message
    answer = parsed(command_type, data)
    if not isinstance(answer, Rejected):
        assert answer.type == command_type
        assert canonical_json(answer).encode()
        return
    assert answer.code is RejectionCode.MALFORMED
    assert answer.message.isprintable()
    assert len(answer.message) < 500
    names = {"data", "percent, amount", *COMMAND_MODELS[command_type].model_fields}
    if isinstance(data, dict):
        names |= {ascii(key)[1:-1] for key in data}
    field, _, rule = answer.message.partition(": ")
    assert rule
    # A long name is quoted by its beginning.
    assert field in names or (field.endswith("…") and any(name.startswith(field[:-1]) for name in names))


def test_an_unknown_type_is_refused() -> None:
    """The message quotes the type, printable and cut short."""
    assert refusal("Nope", {}) == "type: Nope is not a command"
    assert refusal("\ud800\n" * 100, {}).isprintable()
    assert len(refusal("x" * 5000, {})) < 100


@pytest.mark.parametrize("data", [None, True, 1, "x", [], [{}]])
def test_the_data_must_be_an_object(data: object) -> None:
    """A command's data is a JSON object, even for a command without fields."""
    assert refusal("ConfirmOrder", data) == "data: must be a JSON object"


@pytest.mark.parametrize("field", ["type", "colour"])
def test_unknown_fields_are_refused(field: str) -> None:
    """A misspelt field is not dropped in silence, and the type comes from the envelope only."""
    assert refusal("AddItem", ITEM | {field: "AddItem"}) == f"{field}: is not a field of AddItem"


def test_missing_fields_are_named() -> None:
    """At most three problems are told, then their number."""
    assert refusal("AddItem", {"colour": 1}) == (
        "product_id: is required; name: is required; quantity: is required; and 2 more"
    )


@pytest.mark.parametrize(
    ("quantity", "rule"),
    [
        (0, "must be greater than 0"),
        ("-1", "must be greater than 0"),
        ("0.0001", "must have at most 3 decimals"),
        (Decimal("1E-999999"), "must have at most 3 decimals"),
        (1_000_000, "must have at most 6 digits before the point"),
        pytest.param(HUGE, "must have at most 6 digits before the point", id="5,001 digits"),
        (Decimal("1E+999999"), "must have at most 6 digits before the point"),
        ("1E+999999", NUMBER),
        ("1e2", NUMBER),
        ("٣", NUMBER),
        (" 1", NUMBER),
        ("1\n", NUMBER),
        ("", NUMBER),
        ("NaN", NUMBER),
        ("Infinity", NUMBER),
        ("1" * 5000, "must have at most 40 characters"),
        (Decimal("NaN"), "must be a finite number"),
        (Decimal("sNaN"), "must be a finite number"),
        (Decimal("-Infinity"), "must be a finite number"),
        (True, "must be a number, or a string such as 12.50"),
        (1.5, "must be a number, or a string such as 12.50"),
        (float("nan"), "must be a number, or a string such as 12.50"),
        (None, "must be a number, or a string such as 12.50"),
        ([], "must be a number, or a string such as 12.50"),
    ],
)
def test_numbers_are_bounded(quantity: object, rule: str) -> None:
    """Digits and exponent are counted before any arithmetic; true, NaN and binary floats are no numbers."""
    assert refusal("AddItem", ITEM | {"quantity": quantity}) == f"quantity: {rule}"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("2", "2"),
        (2, "2"),
        (Decimal("2.000"), "2"),
        (Decimal("1E+2"), "100"),
        ("000.500", "0.5"),
        ("999999.999",) * 2,
    ],
)
def test_numbers_are_normalised(quantity: object, text: str) -> None:
    """However a number is written, it is the same number, and printed plainly."""
    command = parse_command("AddItem", ITEM | {"quantity": quantity})
    assert isinstance(command, AddItem)
    assert str(command.quantity) == text


@pytest.mark.parametrize(
    ("price", "rule"),
    [
        ("-0.01", "must not be less than 0"),
        ("1000000000", "must have at most 9 digits before the point"),
        ("0.0000001", "must have at most 6 decimals"),
    ],
)
def test_prices_are_bounded(price: str, rule: str) -> None:
    """From 0 to below a thousand million; whether it is too fine for the currency is the order's rule."""
    assert refusal("AddItem", ITEM | {"unit_price": price}) == f"unit_price: {rule}"


def test_minus_zero_is_zero() -> None:
    """No sign survives on a price of nothing."""
    command = parse_command("AddItem", ITEM | {"unit_price": "-0.00"})
    assert isinstance(command, AddItem)
    assert str(command.unit_price) == "0"


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("", "must have 1 to 64 characters"),
        ("x" * 65, "must have 1 to 64 characters"),
        (10**64, "must have at most 64 characters"),
        (-(10**63), "must have at most 64 characters"),
        pytest.param(HUGE, "must have at most 64 characters", id="5,001 digits"),
        ("a\u0000", "must have printable characters only"),
        ("a\n", "must have printable characters only"),
        ("\ud800", "must have printable characters only"),
        (True, "must be a string or an integer"),
        (Decimal("1.5"), "must be a string or an integer"),
        (None, "must be a string or an integer"),
    ],
)
def test_ids_are_bounded(value: object, rule: str) -> None:
    """An id is 1 to 64 printable characters."""
    assert refusal("AddItem", ITEM | {"product_id": value}) == f"product_id: {rule}"
    with pytest.raises(ValueError, match=rule):
        identifier(value)


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (-7, "-7"), (10**63, str(10**63)), ("x" * 64,) * 2, ("ชา 1",) * 2]
)
def test_integer_ids_are_taken_as_strings(value: object, text: str) -> None:
    """7 and "7" are the same product."""
    assert identifier(value) == text


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "must have 1 to 200 characters"),
        ("x" * 201, "must have 1 to 200 characters"),
        ("a\u0000b", "must have no control characters"),
        ("a\u2028b", "must have no control characters"),
        ("a\udfffb", "must have no control characters"),
        (" \u3000", "must not be blank"),
        (7, "must be a string"),
    ],
)
def test_names_are_bounded(name: object, rule: str) -> None:
    """A name is 1 to 200 characters that a receipt can print."""
    assert refusal("AddItem", ITEM | {"name": name}) == f"name: {rule}"


def test_a_void_needs_a_reason_and_an_authoriser() -> None:
    """Both are required, and a blank reason is none."""
    assert refusal("VoidOrder", {}) == "reason: is required; authorised_by: is required"
    assert refusal("VoidOrder", {"reason": " ", "authorised_by": 9}) == "reason: must not be blank"
    long = {"reason": "x" * 501, "authorised_by": 9}
    assert refusal("VoidOrder", long) == "reason: must have 1 to 500 characters"


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("currency", "thb", "must be three capital letters such as EUR"),
        ("currency", 764, "must be three capital letters such as EUR"),
        ("rounding", "up", "must be one of half_up, half_even, down"),
        ("rounding", [], "must be one of half_up, half_even, down"),
        ("business_day", "2026-02-30", "must be a day of the calendar"),
        ("business_day", "20261123", "must be a date such as 2026-11-23"),
        ("business_day", 20261123, "must be a date such as 2026-11-23"),
        ("business_day", "1999-12-31", "must be in the years 2000 to 2100"),
        ("business_day", "2101-01-01", "must be in the years 2000 to 2100"),
    ],
)
def test_creation_is_bounded(field: str, value: object, rule: str) -> None:
    """Currency, rounding and business day have one spelling each."""
    data = {"cashier_id": 5, "currency": "THB", field: value}
    assert refusal("CreateOrder", data) == f"{field}: {rule}"


@pytest.mark.parametrize("given_fields", [{}, {"percent": 1, "amount": 1}, {"percent": None, "amount": None}])
def test_a_line_discount_is_a_percentage_or_an_amount(given_fields: dict[str, Any]) -> None:
    """Not both, and not neither."""
    data = {"line_id": "1", "authorised_by": "9"} | given_fields
    assert refusal("ApplyLineDiscount", data) == "percent, amount: exactly one must be given"


def test_a_percentage_has_two_decimals() -> None:
    """A finer percentage is malformed; one out of range is left to the rules."""
    assert (
        refusal("ApplyDiscount", {"percent": "33.333", "authorised_by": 9})
        == "percent: must have at most 2 decimals"
    )
    parse_command("ApplyDiscount", {"percent": "-150", "authorised_by": 9})


def test_canonical_json_is_the_same_for_the_same_values() -> None:
    """Order of keys, spelling of numbers, null for absent: none of them makes another command."""
    one = parse_command(
        "AddItem", {"unit_price": Decimal("10.50"), "quantity": 2, "name": "ชา", "product_id": 7}
    )
    two = parse_command("AddItem", ITEM | {"name": "ชา", "product_id": "7", "line_id": None})
    assert canonical_json(one) == canonical_json(two)
    assert canonical_json(one) == '{"product_id":"7","name":"ชา","quantity":"2","unit_price":"10.5"}'
