"""Why a command can be refused: every code with its sentence. docs/rejections.md repeats this one list.

Stored and sent: a code never changes its spelling once released.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Self


class RejectionCode(StrEnum):
    """A stable code of a refusal; `sentence` says what it means to a reader."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        """Take the code as the value and keep its sentence beside it."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    MALFORMED = "malformed", "The command is not well formed; the message names the field and the rule."
    BAD_KEY = "bad_key", "The record's key is not the order id that the subject names."
    WRONG_PARTITION = "wrong_partition", "The record lies in another partition than its order's commands do."
    COMMAND_ID_REUSED = "command_id_reused", "This command id was used before for another command."
    CLOCK_AHEAD = "clock_ahead", "The terminal's clock is further ahead of ours than its tenant allows."
    ORDER_EXISTS = "order_exists", "The order exists already."
    ORDER_NOT_FOUND = "order_not_found", "There is no such order."
    EXPECTED_VERSION_REQUIRED = (
        "expected_version_required",
        "Undo and redo need the expected version, so that nobody undoes what they have not seen.",
    )
    VERSION_CONFLICT = "version_conflict", "The order is not at the version that the command expects."
    ORDER_NOT_OPEN = "order_not_open", "The order is not open: it was confirmed or voided."
    ALREADY_VOIDED = "already_voided", "The order was voided already."
    EMPTY_ORDER = "empty_order", "An order without lines cannot be confirmed."
    UNKNOWN_LINE = "unknown_line", "The order has no such line."
    LINE_EXISTS = "line_exists", "The order has a line with this id already."
    TOO_MANY_LINES = "too_many_lines", "An order holds at most 1,000 lines."
    UNKNOWN_CURRENCY = (
        "unknown_currency",
        "The currency is not in ISO 4217, was withdrawn by the business day, or has no minor unit.",
    )
    PRICE_TOO_FINE = "price_too_fine", "The price or amount is finer than the currency's minor unit."
    DISCOUNT_OUT_OF_RANGE = (
        "discount_out_of_range",
        "A discount is above 0 percent and at most 100 percent, or an amount above 0.",
    )
    DISCOUNT_EXCEEDS_LINE = "discount_exceeds_line", "The discount amount is greater than the line's gross."
    NOTHING_TO_UNDO = "nothing_to_undo", "The order has no change that can be undone."
    NOTHING_TO_REDO = "nothing_to_redo", "The order has no undone change that can be redone."


class Rejected(Exception):
    """A command was refused.

    `code` is for programs, `message` is one plain English sentence for people: the code's own sentence,
    or one that names the facts.
    """

    def __init__(self, code: str, message: str = "") -> None:
        self.code: RejectionCode = RejectionCode(code)  # type: ignore[call-arg] # found by its value, not made
        self.message = message or self.code.sentence
        super().__init__(f"{self.code}: {self.message}")


class Malformed(Rejected):
    """A command makes no sense: `errors` are fields with the rule that each breaks, the first few."""

    def __init__(self, errors: Sequence[tuple[str, str]], more: int = 0) -> None:
        self.errors = tuple(errors)
        message = "; ".join(f"{field}: {rule}" for field, rule in errors)
        super().__init__(RejectionCode.MALFORMED, f"{message}; and {more} more" if more else message)
