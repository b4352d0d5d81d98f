"""What was decided about dead letters, and what came of those that were sent again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from operations.dead_letters.letters import DeadLetter

_DECISIONS = """
SELECT dead_letter_id, decision, decided_at, actor, note, sent_to
FROM operations.dead_letter_decisions AS decided
JOIN operations.actions ON actions.id = action_id
LEFT JOIN (
    SELECT action_id, concat_ws('/', details->>'topic', details->>'partition', details->>'offset') AS sent_to
    FROM operations.results WHERE details ? 'offset'
) AS sent USING (action_id)
WHERE dead_letter_id = ANY($1::text[]) OR sent_to = ANY($2::text[]) ORDER BY decided_at, action_id
"""
_OUTCOMES = """
SELECT tenant_id, command_id, code FROM command_outcomes
JOIN unnest($1::text[], $2::uuid[]) AS wanted (tenant, command) ON tenant_id = tenant AND command_id = command
"""
_SET_ASIDE = """
SELECT concat(topic, '/', partition, '/', record_offset) AS place
FROM operations.set_aside JOIN operations.holds ON id = hold_id
WHERE concat(topic, '/', partition, '/', record_offset) = ANY($1::text[])
"""


class LetterDecision(NamedTuple):
    """What was decided about a dead letter, when and by whom.

    `sent_to` is where a retry has put it, as topic/partition/offset; None of what was not sent.
    """

    dead_letter_id: str
    decision: str
    decided_at: datetime
    actor: str
    note: str
    sent_to: str | None


async def read_decisions(conn: asyncpg.Connection, ids: Iterable[str]) -> dict[str, list[LetterDecision]]:
    """Return id → what was decided, in this order; what nothing was decided about is absent."""
    decisions: dict[str, list[LetterDecision]] = {}
    for row in await conn.fetch(_DECISIONS, list(ids), []):
        decisions.setdefault(row["dead_letter_id"], []).append(LetterDecision(*row))
    return decisions


async def read_retries(conn: asyncpg.Connection, letters: Iterable[DeadLetter]) -> dict[str, LetterDecision]:
    """Return place → the retry that has put a record there, of those letters that come of one."""
    places = [letter.place for letter in letters]
    rows = await conn.fetch(_DECISIONS, [], places)
    return {row["sent_to"]: LetterDecision(*row) for row in rows}


async def what_came_of(
    conn: asyncpg.Connection, retried: Collection[tuple[DeadLetter, LetterDecision]], dead: Mapping[str, str]
) -> dict[str, str]:
    """Return letter id → what came of its newest retry, in words.

    `dead` maps the places of dead letters to their ids. What was not handled yet is told as waiting.
    """
    commands = {letter.id: letter.command for letter, _ in retried}
    known: Sequence[tuple[str, object]] = [each for each in commands.values() if each is not None]
    outcomes = {
        (row["tenant_id"], row["command_id"]): row["code"]
        for row in await conn.fetch(_OUTCOMES, [each for each, _ in known], [each for _, each in known])
    }
    rows = await conn.fetch(_SET_ASIDE, [decision.sent_to for _, decision in retried])
    aside = {row["place"] for row in rows}
    found = {}
    for letter, decision in retried:
        place, command = decision.sent_to or "", commands[letter.id]
        if place in dead:
            found[letter.id] = f"a dead letter again, {dead[place]}"
        elif command in outcomes:
            code = outcomes[command]
            found[letter.id] = "accepted" if code is None else f"rejected, {code}"
        else:
            found[letter.id] = "set aside" if place in aside else "waits to be handled"
    return found
