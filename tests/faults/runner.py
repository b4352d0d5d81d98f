"""Runs a service that is killed, or stands still, exactly in a named window between two of its steps.

    python tests/faults/runner.py WINDOW CALL kill|stop SERVICE [ARGUMENT…]

From outside, it wraps the function that the window lies before or after. On the CALL-th call the process
writes `window hit: WINDOW` to its log and sends itself SIGKILL, or SIGSTOP and goes on once it is woken.
"""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaProducer

from command_service.handler import CommandHandler
from messaging import Producer
from projector import refolding
from projector.handler import Projector
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints


class Window(NamedTuple):
    """Before or after each call of a function; `sql` picks the calls whose first argument begins with it."""

    owner: type
    function: str
    after: bool
    sql: str = ""


BEFORE, AFTER = False, True
PART_SENT = "outbox_relay.part_sent"
WINDOWS = {
    # A batch is fetched, nothing is done with it yet.
    "command_service.in_hand": Window(CommandHandler, "handle", BEFORE),
    # Before and after the append, within its transaction.
    "command_service.before_append": Window(asyncpg.Connection, "fetch", BEFORE, "WITH stream"),
    "command_service.before_commit": Window(asyncpg.Connection, "execute", BEFORE, "COMMIT;"),
    # Between the database's commit and the offsets'.
    "command_service.committed": Window(CommandHandler, "handle", AFTER),
    "command_service.assigned": Window(CommandHandler, "assigned", AFTER),
    # Kafka has acknowledged, the rows are still there.
    "outbox_relay.acknowledged": Window(
        asyncpg.Connection, "fetch", BEFORE, "WITH gone AS (DELETE FROM outbox"
    ),
    "projector.in_hand": Window(Projector, "handle", BEFORE),
    # Between the checkpoint's move and the transaction's commit, without and with the rows, where that is not
    # one statement.
    "projector.checkpoint_moved": Window(Checkpoints, "move", AFTER),
    "projector.rows_written": Window(ReadModel, "write", AFTER),
    # Between the database's commit and the offsets'.
    "projector.committed": Window(Projector, "handle", AFTER),
    # In mid-assignment: the epochs are taken, but not yet committed; and committed, but nothing sought.
    "projector.taken": Window(Checkpoints, "take", AFTER),
    "projector.assigned": Window(Projector, "assigned", AFTER),
    # In mid-rewind: orders of some partitions are folded again, and one partition is half done.
    "projector.half_refolded": Window(ReadModel, "rewrite", BEFORE),
}
"""Every window by its name, which begins with the service. `outbox_relay.part_sent` is made by hand."""
IN_STEPS = {"projector.checkpoint_moved", "projector.rows_written"}
"""Those of a projector that has more to do than one statement can, which most batches have not."""


def break_at(name: str, call: int, reached: Callable[[], None]) -> None:
    """Have `reached` called in the window `name`, on its `call`-th time.

    For `outbox_relay.part_sent` that is once `call` of the batches of one send are acknowledged.
    """
    if name == PART_SENT:
        _break_a_send(call, reached)
        return
    window = WINDOWS[name]
    original = getattr(window.owner, window.function)
    calls = 0

    @wraps(original)
    async def wrapped(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        matches = not window.sql or arguments[1].lstrip().startswith(window.sql)
        calls += matches
        due = matches and calls == call
        if due and not window.after:
            reached()
        result = await original(*arguments, **keywords)
        if due and window.after:
            reached()
        return result

    setattr(window.owner, window.function, wrapped)


def _break_a_send(batches: int, reached: Callable[[], None]) -> None:
    send, send_batch = Producer.send, AIOKafkaProducer.send_batch
    acknowledged: list[Any] = []
    hit = False
    turn = asyncio.Lock()

    async def whole(self: Producer, messages: Any) -> None:
        acknowledged.clear()
        await send(self, messages)

    async def one(self: AIOKafkaProducer, *arguments: Any, **keywords: Any) -> Any:
        nonlocal hit
        # The partitions' batches are sent at the same time: here one by one, so that the others wait.
        async with turn:
            if len(acknowledged) == batches and not hit:
                await asyncio.gather(*acknowledged)
                hit = True
                reached()
            sent = await send_batch(self, *arguments, **keywords)
            acknowledged.append(sent)
        return sent

    Producer.send, AIOKafkaProducer.send_batch = whole, one  # type: ignore[method-assign]


async def _has_more_to_do(*_: Any) -> None:
    return None


def main() -> None:
    """Run the service named on the command line up to its window."""
    name, call, then, service, *arguments = sys.argv[1:]
    deed = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[then]

    def reached() -> None:
        sys.stderr.write(f"window hit: {name}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), deed)

    # A rewind of a few orders takes several pages too.
    refolding.REFOLDED_AT_ONCE = 1
    if name in IN_STEPS:
        Projector._apply_at_once = _has_more_to_do  # type: ignore[method-assign,assignment]
    break_at(name, int(call), reached)
    sys.argv[:] = [service, *arguments]
    importlib.import_module(f"{service}.app").main()


if __name__ == "__main__":
    main()
