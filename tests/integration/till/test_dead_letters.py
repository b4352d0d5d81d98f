"""Dead letters in an operator's hands: found, shown, sent again, settled."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from typer.testing import CliRunner, Result

from commands import ORDERS
from harness.plain_client import command
from integration.till.conftest import Till
from messaging import KafkaConnection, ensure_topics
from operations.dead_letters import deciding
from operations.errors import OperationRefused
from till.app import app
from till.errors import TillError

Headers = Sequence[tuple[str, bytes | None]]
# Of the first partition: two hours old, one hour old, new.
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000


class Letters:
    """The topics of commands and of dead letters, and the verbs on them."""

    def __init__(self, bootstrap_servers: str, prefix: str, database: Any) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topics = ORDERS.topics(prefix)
        self.database = database
        asyncio.run(ensure_topics(KafkaConnection(bootstrap_servers), self.topics, partitions=3))

    def put(
        self,
        offset: int,
        *,
        key: bytes | None = None,
        value: bytes | None = b"junk",
        headers: Headers = (),
        reason: str = "tenantid: is required",
        topic: str | None = None,
        at: int = NOW_MS,
        times: int = 1,
    ) -> str:
        """Put a dead letter as the command service makes them, from partition 1; give its id."""
        source = topic or self.topics.commands
        id_ = str(uuid5(NAMESPACE_URL, f"{source}/1/{offset}"))
        ours = [
            ("deadletter_id", id_.encode()),
            ("deadletter_topic", source.encode()),
            ("deadletter_partition", b"1"),
            ("deadletter_offset", str(offset).encode()),
            ("deadletter_reason", reason.encode()),
        ]
        for _ in range(times):
            self.send(self.topics.dead_letters, key, value, [*headers, *ours], at=at, partition=offset % 3)
        return id_

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, *, at: int, partition: int
    ) -> None:
        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
            await producer.start()
            batch = producer.create_batch()
            batch.append(key=key, value=value, headers=headers, timestamp=at)
            batch.close()
            await (await producer.send_batch(batch, topic, partition=partition))
            await producer.stop()

        asyncio.run(send())

    def answer(self, sent: dict[str, Any], code: str | None) -> None:
        """Keep an outcome of a command: accepted, or the code it was refused with."""
        named = dict(sent["headers"])

        async def answer() -> None:
            conn = await asyncpg.connect(self.database.dsn("command_service"))
            await conn.execute(
                "INSERT INTO command_outcomes"
                " (tenant_id, command_id, command_type, actor, fingerprint, code, headers, value)"
                " VALUES ($1, $2::text::uuid, 'VoidOrder', 'anna', '', $3, '[]', '')",
                named["ce_tenantid"].decode(),
                named["ce_id"].decode(),
                code,
            )
            await conn.close()

        asyncio.run(answer())

    def hold(self, source: str | None) -> None:
        """Hold the commands' partition 1 back, or a source in it, as the command service does."""

        async def hold() -> None:
            conn = await asyncpg.connect(self.database.dsn("command_service"))
            await conn.execute(
                "INSERT INTO operations.holds (topic, partition, source, first_offset, reason)"
                " VALUES ($1, 1, $2, 0, 'too many')",
                self.topics.commands,
                source,
            )
            await conn.close()

        asyncio.run(hold())

    def commands(self) -> list[ConsumerRecord[bytes, bytes]]:
        """Give what is on the commands' partition 1, the one that all letters came from."""

        async def read() -> list[ConsumerRecord[bytes, bytes]]:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap_servers, auto_offset_reset="earliest"
            )
            await consumer.start()
            partition = TopicPartition(self.topics.commands, 1)
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            records: list[ConsumerRecord[bytes, bytes]] = []
            while len(records) < end:
                records += (await consumer.getmany(timeout_ms=200)).get(partition, [])
            await consumer.stop()
            return records

        return asyncio.run(read())

    def till(self, *arguments: str) -> Result:
        """Run a verb that acts or tells a person; an error is raised."""
        result = CliRunner().invoke(app, ["dead-letters", *arguments], env={"COLUMNS": "400"})
        if result.exception is not None:
            raise result.exception
        return result

    def recorded(self) -> list[tuple[Any, ...]]:
        """Give action, decision and outcome of all that was recorded, in order."""

        async def read() -> list[tuple[Any, ...]]:
            conn = await asyncpg.connect(self.database.dsn())
            rows = await conn.fetch(
                "SELECT action, arguments->>'dead_letter_id', decision, d.note, outcome"
                " FROM operations.actions LEFT JOIN operations.results ON action_id = id"
                " LEFT JOIN operations.dead_letter_decisions AS d ON d.action_id = id ORDER BY id"
            )
            await conn.close()
            return [tuple(row) for row in rows]

        return asyncio.run(read())


@pytest.fixture
def letters(
    till: Till, kafka_server: Any, topic_prefix: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> Letters:
    """Give an installation's topics without a letter yet."""
    assert till
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("TILLSTREAM_OPERATOR_DATABASE_URL", database.dsn("operator"))
    return Letters(kafka_server.bootstrap_servers, topic_prefix, database)


def sound() -> dict[str, Any]:
    """Give what a letter holds that this build can read, as an older one may have left it."""
    sent = command("VoidOrder", str(uuid4()))
    return {name: sent[name] for name in ("key", "value", "headers")}


def listed(till: Till, *arguments: str) -> list[int]:
    """Give the offsets of the letters that a list has, in its order."""
    return [row["offset"] for row in till("dead-letters", "list", *arguments)]


def test_the_open_ones_are_listed_newest_first(till: Till, letters: Letters) -> None:
    """A list has each letter that nothing was decided about once, the newest first, as many as asked for."""
    ids = [letters.put(n, at=NOW_MS + n) for n in range(4)]
    letters.put(4, at=NOW_MS - HOUR_MS, times=2)
    assert listed(till) == [3, 2, 1, 0, 4]
    assert listed(till, "--limit", "2") == [3, 2]
    letters.till("resolve", ids[2], "--note", "a typing error")
    assert listed(till) == [3, 1, 0, 4]
    assert listed(till, "--all") == [3, 2, 1, 0, 4]
    assert [row["decision"] for row in till("dead-letters", "list", "--all")][:2] == ["open", "resolved"]


def test_what_was_sent_again_is_listed_once_with_what_came_of_it(till: Till, letters: Letters) -> None:
    """Accepted, refused, dead again or waiting, with when and by whom; dead again it is one letter."""
    accepted, refused, dead, waiting = range(4)
    sent = [sound() for _ in range(4)]
    # Behind all that the retries get, which lie from the beginning of the partition on.
    ids = [letters.put(1_000 + n, reason=f"reason {n}", at=NOW_MS + n, **each) for n, each in enumerate(sent)]
    letters.till("retry", *ids, "--note", "mended")
    letters.answer(sent[accepted], None)
    letters.answer(sent[refused], "order_not_found")
    again = letters.put(dead, at=NOW_MS + 100)
    rows = {row["id"]: row for row in till("dead-letters", "list", "--all")}
    assert rows.keys() == {*ids, again} - {ids[dead]}
    assert [rows[ids[n]]["came_of_it"] for n in (accepted, refused, waiting)] == [
        "accepted",
        "rejected, order_not_found",
        "waits to be handled",
    ]
    assert {row["decision"] for id_, row in rows.items() if id_ != again} == {"retried"}
    assert "@" in rows[ids[accepted]]["decided_by"]
    assert (rows[again]["decision"], rows[again]["retry_of"]) == ("open", ids[dead])
    assert [row["id"] for row in till("dead-letters", "list")] == [again]
    told = letters.till("list", "--all").stdout
    assert "retried 20" in told
    assert ": rejected, order_not_found" in told
    assert "open; was sent again 20" in told
    # Where the letter that came of it is not asked for, it is named.
    (named,) = till("dead-letters", "list", "--all", "--reason", f"reason {dead}")
    assert named["came_of_it"] == f"a dead letter again, {again}"


def test_a_list_has_what_it_is_asked_for(till: Till, letters: Letters) -> None:
    """Reason, topic and time each leave the letters they name."""
    letters.put(0, reason="header ce_id: is given twice", at=NOW_MS - 2 * HOUR_MS)
    letters.put(1, topic="elsewhere.commands", at=NOW_MS - HOUR_MS)
    letters.put(2)
    assert listed(till, "--reason", "GIVEN TWICE") == [0]
    assert listed(till, "--topic", "elsewhere.commands") == [1]
    assert listed(till, "--since", "2023-11-14T21:00:00Z") == [2, 1]
    assert listed(till, "--until", "2023-11-14T22:00:00Z") == [1, 0]
    assert listed(till, "--since", "2023-11-14T21:00:00Z", "--until", "2023-11-14T22:00:00Z") == [1]


def test_a_long_topic_is_read_from_its_end(
    till: Till, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list reads back as far as it needs for the newest, and says where it stopped looking."""
    monkeypatch.setattr("operations.dead_letters.letters.WINDOW", 2)
    for n in range(12):
        letters.put(n, at=NOW_MS + (n if n % 3 else -HOUR_MS), reason="rare" if n == 0 else "usual")
    assert listed(till, "--limit", "3") == [11, 10, 8]
    assert listed(till) == [11, 10, 8, 7, 5, 4, 2, 1, *listed(till)[8:]]
    assert listed(till, "--reason", "rare") == [0]
    assert "Only the newest 6 were looked through" in letters.till("list", "--limit", "2").stderr
    monkeypatch.setattr("operations.dead_letters.search.LOOKED_THROUGH", 6)
    assert "Only the newest 6 were" in letters.till("list", "--reason", "rare").stderr


def test_what_it_is_about_is_read_as_far_as_it_can_be(till: Till, letters: Letters) -> None:
    """Tenant, order and command come from the headers or the structured value, whatever else is wrong."""
    order = str(uuid4())
    doubled = command("AddItem", order, tenant="store-7")
    letters.put(2, headers=[*doubled["headers"], ("CE_ID", b"again")], at=NOW_MS)
    structured = command("VoidOrder", order, tenant="store-8", structured=True)
    letters.put(1, headers=structured["headers"], value=structured["value"], at=NOW_MS - 1)
    letters.put(0, headers=[("ce_tenantid", b"\xff\x1b")], at=NOW_MS - 2)
    first, second, third = till("dead-letters", "list")
    names = ("tenant_id", "order_id", "command_type")
    assert [first[name] for name in names] == ["store-7", order, "orders.AddItem"]
    assert [second[name] for name in names] == ["store-8", order, "orders.VoidOrder"]
    assert [third[name] for name in names] == ["\\xff\x1b", None, None]


def test_a_letter_is_shown_without_steering_the_terminal(till: Till, letters: Letters) -> None:
    """A person sees escapes for all that is no text, and a bounded part; a program gets every byte."""
    value = b"\x1b]0;owned\x07\xff" + b"x" * 9_000
    evil: Headers = [("ce_\x1b[2Jtype", b"\x9b31m"), ("nothing", None)]
    id_ = letters.put(0, key=b"\x00k", value=value, headers=evil, reason="bad \x1b[31mreason")
    told = letters.till("show", id_).stdout
    assert told.isprintable() or {c for c in told if not c.isprintable()} == {"\n"}
    assert r"\x1b]0;owned\x07\xff" in told
    assert r"bad \x1b[31mreason" in told
    assert len(told) < 8_000
    assert "\x1b" not in letters.till("list").stdout
    document = till("dead-letters", "show", id_)
    assert base64.b64decode(document["value_base64"]) == value
    assert base64.b64decode(document["key_base64"]) == b"\x00k"
    assert [(each["name"], each["value_base64"]) for each in document["headers"]] == [
        (evil[0][0], base64.b64encode(b"\x9b31m").decode()),
        ("nothing", None),
    ]


def test_a_retry_sends_the_same_bytes_to_the_same_place(till: Till, letters: Letters) -> None:
    """Key, value and the record's own headers go back unchanged, in their old order; ours stay behind."""
    # Headers under our own names that a sender made up are the record's.
    headers: Headers = [("deadletter_id", b"theirs"), ("a", b"\xff"), ("a", None)]
    second = letters.put(2, key=b"k", value=b"\x00\xff", headers=headers)
    # Larger than a batch of the client's, and one with neither key nor value.
    first = letters.put(0, key=b"k", value=b"y" * 200_000)
    third = letters.put(3, key=None, value=None)
    told = letters.till("retry", third, second, first, "--anyway", "--note", "the build is mended").stderr
    assert f"{second} is on {letters.topics.commands}/1/1 again" in told
    records = letters.commands()
    assert [(record.key, record.value) for record in records] == [
        (b"k", b"y" * 200_000),
        (b"k", b"\x00\xff"),
        (None, None),
    ]
    assert [list(record.headers) for record in records] == [[], list(headers), []]
    assert letters.recorded() == [
        ("dead-letters retry", id_, "retried", "the build is mended", "done")
        for id_ in (first, second, third)
    ]
    assert listed(till) == []


def test_a_letter_can_be_sent_again_and_every_decision_stays(till: Till, letters: Letters) -> None:
    """A second decision stands behind the first, whatever it is; the list tells the newest."""
    id_ = letters.put(0, **sound())
    letters.till("retry", id_)
    letters.till("retry", id_, "--again")
    letters.till("resolve", id_, "--note", "nobody knows")
    assert len(letters.commands()) == 2
    document = till("dead-letters", "show", id_)
    assert [each["decision"] for each in document["decisions"]] == ["retried", "retried", "resolved"]
    assert document["decisions"][2]["note"] == "nobody knows"
    assert [row["decision"] for row in till("dead-letters", "list", "--all")] == ["resolved"]


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        ({"headers": [("ce_type", b"orders.CreateOrder")]}, ".*tenantid: is required"),
        ({"headers": [("ce_tenantid", b"a"), ("ce_id", None)]}, ".*id: is required"),
        ({"headers": [("content-type", b"application/cloudevents+json")]}, "value: is not JSON"),
    ],
)
def test_what_still_cannot_be_read_is_not_sent(
    till: Till, letters: Letters, letter: dict[str, Any], reason: str
) -> None:
    """It would only count towards the limit of dead letters: it goes out with --anyway."""
    good, bad = letters.put(0, **sound()), letters.put(1, **letter)
    with pytest.raises(OperationRefused, match=f"{bad} can't be read by this build either: {reason}"):
        letters.till("retry", good, bad)
    assert letters.commands() == []
    assert letters.recorded() == []
    letters.till("retry", good, bad, "--anyway")
    assert len(letters.commands()) == 2
    assert listed(till) == []


@pytest.mark.parametrize("decision", ["retried", "resolved"])
def test_what_is_decided_is_not_sent_unasked(letters: Letters, decision: str) -> None:
    """A letter that was sent or settled stays where it is, and its neighbours too, without --again."""
    done, other = letters.put(0, **sound()), letters.put(1, **sound())
    letters.till(*(["retry", done] if decision == "retried" else ["resolve", done, "--note", "junk"]))
    before = len(letters.commands())
    with pytest.raises(OperationRefused, match=f"{done} was {decision} at 2.* by .*@"):
        letters.till("retry", other, done)
    assert len(letters.commands()) == before
    letters.till("retry", other, done, "--again")
    assert len(letters.commands()) == before + 2


def test_nothing_is_done_unless_all_can_be(letters: Letters) -> None:
    """One id that is unknown, or one letter from elsewhere, and no letter is sent or settled."""
    good = letters.put(0, **sound())
    other = letters.put(1, topic="elsewhere.commands", **sound())
    with pytest.raises(OperationRefused, match=f"no dead letter {other[:-1]}x"):
        letters.till("retry", good, other[:-1] + "x")
    with pytest.raises(OperationRefused, match="no dead letter 7"):
        letters.till("resolve", good, "7", "--note", "n")
    with pytest.raises(OperationRefused, match="takes no commands"):
        letters.till("retry", good, other)
    with pytest.raises(TillError, match="says nothing"):
        letters.till("resolve", good, "--note", " ")
    assert letters.commands() == []
    assert letters.recorded() == []


def test_a_send_that_fails_is_recorded_and_decides_nothing(
    till: Till, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter whose retry Kafka did not take stays open, and the action says that it failed."""

    async def fail(*_: object) -> dict[str, object]:
        raise TimeoutError("no acknowledgement")

    monkeypatch.setattr(deciding._Resending, "send", fail)
    id_ = letters.put(0, **sound())
    with pytest.raises(OperationRefused, match="does not answer"):
        letters.till("retry", id_)
    assert letters.recorded() == [("dead-letters retry", id_, None, None, "failed")]
    assert listed(till) == [0]


def test_what_is_held_back_is_released_on_the_record(till: Till, letters: Letters) -> None:
    """All or those named go on, each as an action, up to where its partition ends; a slip does nothing."""
    with pytest.raises(OperationRefused, match="Nothing is held back"):
        letters.till("release", "--all")
    topic = letters.topics.commands
    letters.send(topic, None, b"junk", [], at=NOW_MS, partition=1)
    letters.hold(None)
    letters.hold("/till/\x1b7")
    told = letters.till("held").stdout
    assert "/till/\\x1b7 on " in told
    assert "\x1b" not in told
    assert "`till dead-letters release 2` lets it go on" in letters.till("list").stderr
    for wrong in (["release"], ["release", "1", "--all"]):
        with pytest.raises(TillError, match="or say --all"):
            letters.till(*wrong)
    with pytest.raises(OperationRefused, match="Nothing is held back by 9"):
        letters.till("release", "1", "9")
    assert [each["released_at"] for each in till("dead-letters", "held")] == [None, None]
    assert f"{topic}/1 goes on" in letters.till("release", "1", "--note", "a bad build").stderr
    assert [each["hold"] for each in till("dead-letters", "held")] == [2]
    letters.till("release", "--all")
    assert till("dead-letters", "held") == []
    recorded = till("actions", "--action", "dead-letters release")
    assert [each["details"] for each in recorded] == [{"records": 0, "released_to": 1}] * 2
    assert recorded[1]["arguments"] == {"hold": 1, "held": f"{topic}/1", "note": "a bad build"}


def test_records_that_are_no_dead_letters_are_counted(till: Till, letters: Letters) -> None:
    """What somebody else put on the topic is not taken for a letter, and not passed over in silence."""
    letters.put(0)
    letters.send(letters.topics.dead_letters, None, b"x", [("deadletter_id", b"x")], at=NOW_MS, partition=0)
    assert listed(till) == [0]
    assert "1 records on the topic are no dead letters" in letters.till("list").stderr
