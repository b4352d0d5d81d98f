"""A dead letter as a row of a list, and as a document."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from operations.dead_letters.decisions import LetterDecision
from operations.dead_letters.letters import DeadLetter
from runtime.printable import printable


def letter_row(letter: DeadLetter, decision: LetterDecision | None) -> dict[str, Any]:
    """Return what a list has of a letter; `decision` is the newest about it."""
    return {
        "at": letter.at,
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "tenant_id": letter.names.get("tenantid"),
        "order_id": letter.names.get("subject"),
        "command_type": letter.names.get("type"),
        "command_id": letter.names.get("id"),
        "decision": decision.decision if decision else "open",
    }


def list_row(
    letter: DeadLetter, decision: LetterDecision | None, came_of_it: str | None, retry: LetterDecision | None
) -> dict[str, Any]:
    """Return a row of a list: the newest decision, what came of it, and the retry that it comes of."""
    return {
        **letter_row(letter, decision),
        "decided_at": decision and decision.decided_at,
        "decided_by": decision and decision.actor,
        "came_of_it": came_of_it,
        "retry_of": retry and retry.dead_letter_id,
        "retried_at": retry and retry.decided_at,
        "retried_by": retry and retry.actor,
    }


def letter_document(letter: DeadLetter, decisions: Sequence[LetterDecision]) -> dict[str, Any]:
    """Return all of a letter for a program: texts as they can be read, and the bytes beside them."""
    return {
        **letter_row(letter, decisions[-1] if decisions else None),
        "key": None if letter.key is None else printable(letter.key),
        "key_base64": _base64(letter.key),
        "headers": [
            {"name": name, "value": None if raw is None else printable(raw), "value_base64": _base64(raw)}
            for name, raw in letter.headers
        ],
        "value": None if letter.value is None else printable(letter.value),
        "value_base64": _base64(letter.value),
        "decisions": [decision._asdict() for decision in decisions],
    }


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()
