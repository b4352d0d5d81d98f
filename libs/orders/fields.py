"""The bounded field types of commands: what a value from outside may be, checked before any arithmetic.

Every refusal is a short English rule that reads well after the field's name: "must be greater than 0".
"""

import re
from datetime import date
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from orders.currencies import CODES
from orders.money import Rounding

MAX_IDENTIFIER = 64
MAX_NAME = 200
MAX_REASON = 500

_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LONGEST_NUMBER = 40
# Control characters, the line and paragraph separators, and lone surrogates. PostgreSQL's text refuses NUL
# and the last; all of them garble a receipt. Zero-width characters stay: Thai text needs them.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_UNPRINTABLE = re.compile(f"[{_CONTROLS}\ud800-\udfff]")
# What `str.isspace` knows beside those.
_SPACES = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_CURRENCY = re.compile(r"[A-Z]{3}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_DAY, _LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
DAY_SCHEMA = {
    "type": "string",
    "format": "date",
    "pattern": "^(20[0-9]{2}|2100)-[0-9]{2}-[0-9]{2}$",
    "maxLength": 10,
}
_IDENTIFIER_LIMIT = 10**MAX_IDENTIFIER
_ZERO, _ONE = Decimal(0), Decimal(1)
_STEPS = tuple(Decimal((0, (1,), -decimals)) for decimals in range(7))
# Wide enough for what the digit checks let through, whatever context the caller has set.
_CONTEXT = Context(prec=40)


def _refused(rule: str) -> PydanticCustomError:
    return PydanticCustomError("refused", rule)


def identifier(value: object) -> str:
    """Return an id as text: 1 to 64 printable characters; an integer is taken as its decimal text.

    Raises ValueError (pydantic's kind) whose text is the rule.
    """
    if type(value) is int:
        # Bounded first: Python refuses to print integers of thousands of digits.
        if not -_IDENTIFIER_LIMIT // 10 < value < _IDENTIFIER_LIMIT:
            raise _refused(f"must have at most {MAX_IDENTIFIER} characters")
        return str(value)
    if not isinstance(value, str):
        raise _refused("must be a string or an integer")
    if not 1 <= len(value) <= MAX_IDENTIFIER:
        raise _refused(f"must have 1 to {MAX_IDENTIFIER} characters")
    if not value.isprintable():
        raise _refused("must have printable characters only")
    return value


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise _refused("must be a string")
    if not 1 <= len(value) <= longest:
        raise _refused(f"must have 1 to {longest} characters")
    if _UNPRINTABLE.search(value):
        raise _refused("must have no control characters")
    if value.isspace():
        raise _refused("must not be blank")
    return value


def _name(value: object) -> str:
    return _text(value, MAX_NAME)


def _reason(value: object) -> str:
    return _text(value, MAX_REASON)


def exact_decimal(value: object, *, digits: int, decimals: int) -> Decimal:
    """Return a JSON number, or the plain decimal text of one, as a Decimal without trailing zeros.

    At most `digits` digits before the point and `decimals` after it, counted before any arithmetic. With at
    most 6 decimals the result prints without an exponent. Raises ValueError (pydantic's kind) whose text is
    the rule.
    """
    number = _read_number(value)
    if isinstance(number, int):
        if not -(10**digits) < number < 10**digits:
            raise _refused(f"must have at most {digits} digits before the point")
        return Decimal(number)
    if not number.is_finite():
        raise _refused("must be a finite number")
    if not number:
        return _ZERO
    if number.adjusted() >= digits:
        raise _refused(f"must have at most {digits} digits before the point")
    if number != number.quantize(_STEPS[decimals], None, _CONTEXT):
        raise _refused(f"must have at most {decimals} decimals")
    trimmed = number.normalize(_CONTEXT)
    # normalize() writes 100 as 1E+2.
    return trimmed.quantize(_ONE, None, _CONTEXT) if trimmed == trimmed.to_integral_value() else trimmed


def _read_number(value: object) -> Decimal | int:
    """Take what a JSON reader gives for an exact number: no binary float, and true is no number."""
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER:
            raise _refused(f"must have at most {_LONGEST_NUMBER} characters")
        if not _PLAIN_NUMBER.fullmatch(value):
            raise _refused("must be a plain decimal number such as 12.50")
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _refused("must be a number, or a string such as 12.50")


def _quantity(value: object) -> Decimal:
    number = exact_decimal(value, digits=6, decimals=3)
    if number <= 0:
        raise _refused("must be greater than 0")
    return number


def _price(value: object) -> Decimal:
    number = exact_decimal(value, digits=9, decimals=6)
    if number < 0:
        raise _refused("must not be less than 0")
    return number


def _amount(value: object) -> Decimal:
    return exact_decimal(value, digits=15, decimals=6)


def _percent(value: object) -> Decimal:
    return exact_decimal(value, digits=9, decimals=2)


def _currency(value: object) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise _refused("must be three capital letters such as EUR")
    return value


def _rounding(value: object) -> Rounding:
    if isinstance(value, str):
        for mode in Rounding:
            if value == mode:
                return mode
    raise _refused("must be one of " + ", ".join(Rounding))


def _day(value: object) -> date:
    if type(value) is date:
        day = value
    else:
        if not isinstance(value, str) or not _DAY.fullmatch(value):
            raise _refused("must be a date such as 2026-11-23")
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise _refused("must be a day of the calendar") from None
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise _refused("must be in the years 2000 to 2100")
    return day


# Patterns mean the same in Python, JavaScript, Java and Go. RE2 knows no `\u0000`, so characters stand for
# themselves; `$` lets a newline pass in some, so what a text must not hold is a `not`.
def _as_json(**schema: Any) -> WithJsonSchema:  # noqa: ANN401 - any JSON
    """Tell the rule as JSON Schema: whatever fits it is taken, but for what only words can say."""
    return WithJsonSchema(schema)


def _number(below: int, decimals: int, *, least: str = "minimum") -> WithJsonSchema:
    """Return the schema of a number of fewer digits before the point than `below`, as text or as a number.

    That a JSON number may have so many decimals only is said in words: it has no exact form there.
    """
    digits = len(str(below)) - 1
    number = rf"0*[0-9]{{1,{digits}}}(\.[0-9]{{1,{decimals}}}0*)?"
    text: dict[str, Any] = {"type": "string", "maxLength": _LONGEST_NUMBER}
    if least == "exclusiveMinimum":
        text |= {"pattern": f"^{number}$", "not": {"pattern": "[^.0-9]"}, "allOf": [{"pattern": "[1-9]"}]}
    else:
        # Nought is nought with a minus too.
        text |= {"pattern": rf"^({number}|-0+(\.0+)?)$", "not": {"pattern": "[^-.0-9]"}}
    return _as_json(
        anyOf=[text, {"type": "number", least: 0, "exclusiveMaximum": below}],
        description=f"At most {decimals} decimals.",
    )


def printed(longest: int) -> dict[str, Any]:
    """Return the schema of a text without control characters.

    What else is not printable goes by Unicode's categories, which not every reader of JSON Schema knows.
    """
    return {"type": "string", "minLength": 1, "maxLength": longest, "not": {"pattern": f"[{_CONTROLS}]"}}


def _words(longest: int) -> WithJsonSchema:
    return _as_json(**printed(longest), pattern=f"[^{_SPACES}]")


Identifier = Annotated[
    str,
    BeforeValidator(identifier),
    _as_json(
        anyOf=[printed(MAX_IDENTIFIER), {"type": "integer"}],
        description="Printable characters; a whole number is taken as its digits.",
    ),
]
Name = Annotated[str, BeforeValidator(_name), _words(MAX_NAME)]
Reason = Annotated[str, BeforeValidator(_reason), _words(MAX_REASON)]
Quantity = Annotated[Decimal, BeforeValidator(_quantity), _number(10**6, 3, least="exclusiveMinimum")]
Price = Annotated[Decimal, BeforeValidator(_price), _number(10**9, 6)]
# The range of a discount is a rule of the domain with its own code: these two read more than their schemas.
Amount = Annotated[Decimal, BeforeValidator(_amount), _number(10**15, 6, least="exclusiveMinimum")]
Percent = Annotated[
    Decimal,
    BeforeValidator(_percent),
    _as_json(
        anyOf=[
            {
                "type": "string",
                "maxLength": _LONGEST_NUMBER,
                "pattern": r"^0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,2}0*)?)$",
                "not": {"pattern": "[^.0-9]"},
                "allOf": [{"pattern": "[1-9]"}],
            },
            {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        ],
        description="Above 0 and at most 100, with at most 2 decimals.",
    ),
]
CurrencyCode = Annotated[
    str,
    BeforeValidator(_currency),
    _as_json(
        type="string",
        pattern=f"^({'|'.join(CODES)})$",
        maxLength=3,
        description="Of ISO 4217, and money on the business day.",
    ),
]
RoundingMode = Annotated[
    Rounding, BeforeValidator(_rounding), _as_json(type="string", enum=[mode.value for mode in Rounding])
]
BusinessDay = Annotated[
    date,
    BeforeValidator(_day),
    _as_json(**DAY_SCHEMA),
]
