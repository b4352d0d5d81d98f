"""Records that name no command: listed, shown, sent again, or settled with a note."""

from operations.dead_letters.deciding import LetterDecision, read_letter, resend, resolve
from operations.dead_letters.letters import DeadLetter
from operations.dead_letters.rows import letter_document, letter_row
from operations.dead_letters.search import Found, LetterFilter, list_letters

__all__ = [
    "DeadLetter",
    "Found",
    "LetterDecision",
    "LetterFilter",
    "letter_document",
    "letter_row",
    "list_letters",
    "read_letter",
    "resend",
    "resolve",
]
