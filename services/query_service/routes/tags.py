"""The kinds of questions, as the OpenAPI document and its page show them: in this order."""

from collections.abc import Mapping
from enum import StrEnum


class Tag(StrEnum):
    """A kind of question."""

    ORDERS = "Orders"
    HISTORY = "History"
    FIGURES = "Figures"
    COMMANDS = "Commands"
    EVENTS = "Live events"
    READ_MODELS = "Read models"


TAGS: Mapping[Tag, str] = {
    Tag.ORDERS: "What orders stand at, and which orders an id that is at hand belongs to.",
    Tag.HISTORY: "What happened to an order, what it was like before, and who did and authorised what.",
    Tag.FIGURES: "What was sold, now or as of a time, and how orders flow.",
    Tag.COMMANDS: "Have something done to an order, and see what became of it.",
    Tag.EVENTS: "What happens, as it happens.",
    Tag.READ_MODELS: "How far behind the log the answers are.",
}
"""What each is about, in a line."""
