"""Records that name no command: listed, shown, sent again, or settled with a note."""

from operations.dead_letters.deciding import read_letter, resend, resolve
from operations.dead_letters.holds import HeldBack, list_held_back, release
from operations.dead_letters.rows import letter_document
from operations.dead_letters.search import LetterFilter, list_letters

__all__ = [
    "HeldBack",
    "LetterFilter",
    "letter_document",
    "list_held_back",
    "list_letters",
    "read_letter",
    "release",
    "resend",
    "resolve",
]
