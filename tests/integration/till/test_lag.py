"""How far read models are behind, by their checkpoints and by resets that are still to be followed."""

from uuid import uuid4

import pytest
from typer.testing import CliRunner

from integration.till.conftest import Till
from integration.till.lagging import Bookkeeping, EventTopic
from messaging.groups import MARKER
from operations.errors import OperationRefused, Unreachable
from readmodels import READ_MODELS
from till.app import app


def test_lag_counts_what_no_checkpoint_has_passed(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """Records are those at or past the checkpoint; the oldest one's age is since it was recorded."""
    events.send(0, 900.0, 600.0, 300.0)
    events.send(1, 500.0)
    for read_model, offsets in {"order_summary": (2, 0), "sales": (3, 1)}.items():
        for partition, offset in enumerate(offsets):
            books.checkpoint(read_model, partition, offset)
    lag = till("lag", "--partitions")["read_models"]
    assert (lag["sales"]["records"], lag["sales"]["oldest_seconds"], lag["sales"]["state"]) == (0, 0, "live")
    assert lag["order_summary"]["records"] == 2
    assert 500 <= lag["order_summary"]["oldest_seconds"] < 600
    partitions = lag["order_summary"]["partitions"]
    assert [(each["place"], each["records"]) for each in partitions.values()] == [(2, 1), (0, 1)]
    assert 300 <= partitions["0"]["oldest_seconds"] < 400
    # Without a checkpoint nothing is known to be applied.
    assert (lag["audit_log"]["records"], lag["audit_log"]["state"]) == (4, "not started")


@pytest.mark.parametrize(
    ("committed", "ours", "place"),
    [
        (1, False, 1),  # an operator's rewind, which a start will follow
        (3, False, 2),  # a skip, which will be refused
        (1, True, 2),  # a crash between the two commits
        (3, True, 2),  # the database was restored
    ],
)
def test_lag_goes_by_what_a_start_would_decide(
    till: Till, events: EventTopic, books: Bookkeeping, *, committed: int, ours: bool, place: int
) -> None:
    """Of the checkpoint and the group's offset, the one counts that the projector will go on from."""
    events.send(0, 900.0, 600.0, 300.0)
    books.checkpoint("sales", 0, 2)
    books.checkpoint("sales", 1, 0)
    events.commit("sales", {0: committed}, MARKER if ours else "")
    sales = till("lag", "--partitions")["read_models"]["sales"]
    assert sales["partitions"]["0"]["place"] == place
    assert sales["records"] == 3 - place


def test_an_old_generation_says_nothing(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """After a swap the lag is the live generation's, whatever the one before has got to."""
    events.send(0, 900.0, 600.0)
    books.checkpoint("sales", 0, 1, generation=2)
    books.checkpoint("sales", 0, 2)
    books.live("sales", 2)
    assert till("lag")["read_models"]["sales"]["records"] == 1


def test_lag_tells_how_a_read_model_stands(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """Paused, replaying and building are told, the first of them in one word, and parked orders too."""
    events.send(0, 900.0, 600.0, 300.0)
    for read_model in READ_MODELS:
        books.checkpoint(read_model, 0, 1, until=3 if read_model != "audit_log" else 1)
        books.checkpoint(read_model, 1, 0)
    books.execute(
        "WITH asked AS (INSERT INTO operations.actions (actor, action, arguments) "
        "VALUES ('anna@till', 'replay', '{}') RETURNING id) "
        "INSERT INTO operations.pauses (read_model, cause, action_id) SELECT 'sales', 'replay', id FROM asked"
    )
    books.execute(
        "INSERT INTO operations.builds"
        " (read_model, kind, version, state, orders_done, orders_total, blocked_by)"
        " VALUES ('audit_log', 'upgrade', 2, 'comparing', 3, 4, ARRAY['ann (psql), pid 7'])"
    )
    for generation in (1, 2):
        books.execute(
            "INSERT INTO projections.parked (read_model, generation, tenant_id, order_id, partition, version,"
            " newest_version, last_offset, error) VALUES ('sales', $1, 't', $2, 0, 1, 1, 0, 'why')",
            generation,
            uuid4(),
        )
    lag = till("lag", "--partitions")["read_models"]
    assert {name: each["state"] for name, each in lag.items()} == {
        **dict.fromkeys(READ_MODELS, "replaying"),
        "sales": "paused",
        "audit_log": "building",
    }
    assert (lag["sales"]["paused_by"], lag["sales"]["parked_orders"]) == (["replay"], 1)
    assert lag["order_summary"]["to_replay"] == 2
    assert [each["replaying"] for each in lag["order_summary"]["partitions"].values()] == [True, False]
    assert lag["audit_log"]["building"]["orders_done"] == 3
    assert lag["audit_log"]["building"]["swap_blocked_by"] == ["ann (psql), pid 7"]
    told = CliRunner().invoke(app, ["lag"], env={"COLUMNS": "200"}).stdout
    assert "paused by replay; replaying, 2 events to go" in told
    assert "upgrade: comparing, 75%; the swap waits for ann (psql), pid 7" in told


def test_the_outbox_is_a_part_of_the_lag(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """What waits to be published is counted, with the age of the oldest, and without sight of its content."""
    assert events.topics.events
    assert till("lag")["outbox"] == {"rows": 0, "oldest_seconds": 0}
    books.execute(
        "INSERT INTO outbox (shard, topic, headers, created_at)"
        " SELECT 0, 't', '[]', now() - interval '1 hour' FROM generate_series(1, 30)"
    )
    outbox = till("lag")["outbox"]
    assert outbox["rows"] == 30
    assert 3600 <= outbox["oldest_seconds"] < 4000


@pytest.mark.usefixtures("events")
def test_lag_says_that_the_topic_is_missing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the topic of events there is no lag to tell but an error, with what makes the topic."""
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", f"t{uuid4().hex}.")
    with pytest.raises(OperationRefused, match="has no topic"):
        till("lag")


def test_lag_says_that_kafka_is_down(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Kafka lag ends with an error that says how to start everything."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        till("lag")
