"""Which dead letters a list has: the newest that are wanted, with what was decided about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from messaging import KafkaConnection, Offsets, TopicReader
from operations.dead_letters.decisions import LetterDecision, read_decisions, read_retries, what_came_of
from operations.dead_letters.holds import HeldBack, list_held_back
from operations.dead_letters.letters import DeadLetter, look_back
from operations.dead_letters.rows import list_row
from operations.reaching_kafka import reaching_kafka

# So many of the newest are looked through for a list: --until looks further back.
LOOKED_THROUGH = 50_000


@dataclass(frozen=True)
class LetterFilter:
    """What a list is to have: of those with this text in the reason that came on this topic, the newest.

    `since` and `until` bound when they became dead letters; None bounds nothing. Those that something was
    decided about are wanted with `everything` only.
    """

    everything: bool
    reason: str | None
    topic: str | None
    since: datetime | None
    until: datetime | None
    limit: int

    def holds(self, letter: DeadLetter) -> bool:
        """Tell whether reason and topic are the ones wanted."""
        return (self.reason is None or self.reason.lower() in letter.reason.lower()) and (
            self.topic is None or self.topic == letter.topic
        )


@dataclass
class Found:
    """Rows of `list_row`, newest first; how many records were looked through, and how many were not ours.

    `there_is_more` when further ones could be found by a higher limit, or further back. `held_back` is what
    the limit keeps from becoming dead letters.
    """

    rows: list[dict[str, Any]]
    records: int = 0
    foreign: int = 0
    there_is_more: bool = False
    held_back: Sequence[HeldBack] = ()


async def list_letters(
    conn: asyncpg.Connection, kafka: KafkaConnection, topic: str, wanted: LetterFilter
) -> Found:
    """Return the dead letters that are wanted of those on `topic`. Raises NotFound and Unreachable."""
    # By id: one that was published twice is one.
    letters: dict[str, DeadLetter] = {}
    decisions: dict[str, list[LetterDecision]] = {}
    dead: dict[str, str] = {}
    found = Found([])
    with reaching_kafka(kafka):
        async with TopicReader.open(kafka, topic) as reader:
            begin = await _offsets_at(reader, wanted.since) if wanted.since else reader.beginnings
            end = await _offsets_at(reader, wanted.until) if wanted.until else reader.ends
            async for looked in look_back(reader, begin, end):
                found.records += looked.records
                found.foreign += looked.foreign
                held = [letter for letter in looked.letters if wanted.holds(letter)]
                decisions |= await read_decisions(conn, [letter.id for letter in held])
                letters |= {
                    letter.id: letter for letter in held if wanted.everything or letter.id not in decisions
                }
                dead |= {letter.place: letter.id for letter in looked.letters}
                # What was sent again and is there again is told once, as it is by now.
                for id_ in letters.keys() & decisions.keys():
                    newer = {dead.get(each.sent_to or "") for each in decisions[id_]}
                    if letters.keys() & newer - {id_}:
                        del letters[id_]
                found.there_is_more = looked.older_than is not None
                newest = sorted((letter.at for letter in letters.values()), reverse=True)[: wanted.limit]
                enough = len(newest) == wanted.limit and (looked.older_than or newest[-1]) <= newest[-1]
                if enough or found.records >= LOOKED_THROUGH:
                    break
    rows = sorted(letters.values(), key=lambda each: each.at, reverse=True)
    found.there_is_more |= len(rows) > wanted.limit
    rows = rows[: wanted.limit]
    newest_of = {id_: each[-1] for id_, each in decisions.items()}
    retried = [
        (each, newest_of[each.id]) for each in rows if each.id in newest_of and newest_of[each.id].sent_to
    ]
    came, retries = await what_came_of(conn, retried, dead), await read_retries(conn, rows)
    found.rows = [
        list_row(each, newest_of.get(each.id), came.get(each.id), retries.get(each.place)) for each in rows
    ]
    found.held_back = await list_held_back(conn)
    return found


async def _offsets_at(reader: TopicReader, moment: datetime) -> Offsets:
    """Return where each partition's first record at or after a time lies, else the partition's end."""
    found = await reader.offsets_at(int(moment.timestamp() * 1000))
    return {number: reader.ends[number] if at is None else at for number, at in found.items()}
