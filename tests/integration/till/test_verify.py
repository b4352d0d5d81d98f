"""`till verify`: what is equal, what is not, and what could not be checked."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from typer.testing import CliRunner

from integration.till.read_models_made import make_read_models
from integration.till.verified import COUNT, ORDER, Verified, stored_log
from readmodels import READ_MODELS
from till.app import app


@pytest.fixture
def stored(
    database: Any, kafka_server: Any, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Verified:
    """Give a log in the store, without a topic; the read models are the test's."""
    return stored_log(database, kafka_server, topic_prefix, tmp_path, monkeypatch)


@pytest.fixture
def made(stored: Verified) -> Verified:
    """Give the log with all read models made of it."""
    stored.make_read_models()
    return stored


def test_what_a_projector_made_is_equal(made: Verified) -> None:
    """Rows as they are written are equal to the fold of the log, in every read model; the record says so."""
    status, answer = made.verify()
    assert (status, answer["equal"], answer["first"]) == (0, True, None)
    assert {name: count["checked"] for name, count in answer["counts"].items()} == dict.fromkeys(
        ["log", *READ_MODELS], COUNT + 1
    )
    (record,) = made.sql(
        "SELECT action, outcome FROM operations.actions JOIN operations.results ON id = action_id"
    )
    assert tuple(record) == ("verify", "done")


@pytest.mark.parametrize(
    ("change", "field", "found", "log"),
    [
        ("order_summary_1 SET total = 99", "total", "99", "21.50"),
        ("order_summary_1 SET status = 'open'", "status", "open", "confirmed"),
        ("sales_1_orders SET gross = 99", "gross", "99", "21.50"),
        ("audit_log_1 SET actor = 'eve'", "actor", "eve", "till-1"),
        ("audit_log_1 SET undoes = '{1}'", "undoes", [1], []),
        ("audit_log_1 SET after = '{}' WHERE version = 1 AND", "after", {}, None),
    ],
)
def test_a_wrong_row_is_shown_beside_the_right_one(
    made: Verified, change: str, field: str, found: Any, log: Any
) -> None:
    """The first difference has both rows: each field as the read model has it and as the log folds to."""
    where = "" if change.endswith("AND") else "WHERE"
    made.sql(f"UPDATE projections.{change} {where} order_id = $1", ORDER.aggregate_id)
    read_model = change.partition("_1")[0]
    status, answer = made.verify(read_model)
    first = answer["first"]
    assert (status, first["where"], first["order_id"]) == (1, read_model, str(ORDER.aggregate_id))
    fields = {each["field"]: each for each in first["fields"]}
    assert fields[field]["differs"]
    assert fields[field]["found"] == found
    assert log is None or fields[field]["log"] == log
    assert not fields["tenant_id"]["differs"]


def test_totals_must_be_the_sum_of_their_orders(made: Verified) -> None:
    """A total of `sales` that its orders don't add up to is a difference, though every order is right."""
    made.sql("UPDATE projections.sales_1_totals SET net = net + 1")
    status, answer = made.verify("sales")
    assert status == 1
    assert {each["field"] for each in answer["first"]["fields"] if each["differs"]} == {"net"}


def test_the_view_of_changes_must_read_the_live_generation(made: Verified) -> None:
    """The further view of `sales` is looked at too."""
    made.sql("DROP VIEW read_models.sales_changes")
    status, answer = made.verify("sales")
    assert (status, answer["first"]["what"]) == (1, "there is no view read_models.sales_changes")


def test_the_view_must_read_the_live_generation(made: Verified) -> None:
    """A view over other tables than the live generation's is a difference: it is what everybody reads."""
    made.sql("CREATE TABLE projections.order_summary_10 (LIKE read_models.order_summary)")
    made.sql(
        "CREATE OR REPLACE VIEW read_models.order_summary AS SELECT order_id, tenant_id, status, cashier_id,"
        " currency, business_day, line_count, subtotal, discount, total, version, created_at, updated_at,"
        " recorded_at, changed FROM projections.order_summary_10",
    )
    status, answer = made.verify("order_summary")
    assert status == 1
    assert "live generation" in answer["first"]["what"]


# Of read models with rows of single events: a row of an order made wrong, and the field that tells it.
WRONG_ENTRIES = {
    "audit_log_1 SET product_id = 'q' WHERE version = 2 AND": ("product_id", "q", "p"),
    "audit_log_1 SET line_id = NULL WHERE version = 3 AND": ("line_id", None, "2"),
    "sales_1_changes SET net = 99 WHERE": ("net", "99", "21.50"),
    "sales_1_changes SET occurred_by = 'epoch' WHERE": ("occurred_by", "1970-01-01T00:00:00Z", None),
    "sales_1_orders SET occurred_by = 'epoch' WHERE": ("occurred_by", "1970-01-01T00:00:00Z", None),
    "product_movements_1 SET quantity = 3 WHERE line_id = '2' AND": ("quantity", "3", "1"),
    "product_movements_1 SET recorded_at = 'epoch' WHERE": ("recorded_at", "1970-01-01T00:00:00Z", None),
    "product_movements_1_orders SET occurred_by = 'epoch' WHERE": (
        "occurred_by",
        "1970-01-01T00:00:00Z",
        None,
    ),
    "process_steps_1 SET from_type = NULL WHERE version = 2 AND": ("from_type", None, "OrderCreated"),
    "process_steps_1 SET wait = '2 h' WHERE version = 4 AND": ("wait", "PT2H", None),
    "process_steps_1_orders SET last_type = 'ItemAdded' WHERE": ("last_type", "ItemAdded", "OrderConfirmed"),
}


def test_each_column_of_an_entry_and_of_what_the_next_goes_on_from_is_compared(made: Verified) -> None:
    """Wrong rows of single events, and what is kept for the next ones, are shown beside the right ones."""
    for change, (field, found, log) in WRONG_ENTRIES.items():
        table = change.split()[0]
        made.sql(f"CREATE TABLE right_rows AS TABLE projections.{table}")
        made.sql(f"UPDATE projections.{change} order_id = $1", ORDER.aggregate_id)
        status, answer = made.verify(table.partition("_1")[0])
        assert (status, answer["first"]["order_id"]) == (1, str(ORDER.aggregate_id)), change
        differing = [each for each in answer["first"]["fields"] if each["differs"]]
        assert [(each["field"], each["found"]) for each in differing] == [(field, found)], change
        assert log is None or differing[0]["log"] == log, change
        made.sql(f"DELETE FROM projections.{table}")  # noqa: S608 - ours
        made.sql(f"INSERT INTO projections.{table} TABLE right_rows")
        made.sql("DROP TABLE right_rows")


def test_a_row_of_an_event_that_is_gone_is_a_difference(made: Verified) -> None:
    """Of each read model with rows of single events, one that is missing is a difference of its order."""
    for table in ("sales_1_changes", "product_movements_1", "process_steps_1", "audit_log_1"):
        made.sql(f"DELETE FROM projections.{table} WHERE order_id = $1 AND version = 4", ORDER.aggregate_id)  # noqa: S608
        status, answer = made.verify(table.partition("_1")[0])
        assert (status, answer["first"]["order_id"]) == (1, str(ORDER.aggregate_id)), table


@pytest.mark.parametrize("read_model", READ_MODELS)
def test_rows_of_an_unknown_order_are_a_difference(made: Verified, read_model: str) -> None:
    """Rows of an order that the log doesn't have were invented."""
    unknown = uuid4()
    for table in (READ_MODELS[read_model].orders_table, *READ_MODELS[read_model].further_tables):
        made.sql(
            f"UPDATE {table.format(generation=1)} SET order_id = $1, tenant_id = 'zz' WHERE order_id = $2",  # noqa: S608 - ours
            unknown,
            ORDER.aggregate_id,
        )
    status, answer = made.verify(read_model)
    assert status == 1
    assert (answer["first"]["tenant_id"], answer["first"]["order_id"]) == ("zz", str(unknown))
    assert "not in the log" in answer["first"]["what"]


@pytest.mark.parametrize("read_model", READ_MODELS)
def test_a_row_ahead_of_the_log_is_a_difference(made: Verified, read_model: str) -> None:
    """A row at a version that the log doesn't have was invented, or the log has lost events."""
    table = READ_MODELS[read_model].orders_table.format(generation=1)
    made.sql(f"UPDATE {table} SET version = 9 WHERE order_id = $1", ORDER.aggregate_id)  # noqa: S608 - ours
    status, answer = made.verify(read_model)
    assert status == 1
    assert "at version 9, and the log has 4" in answer["first"]["what"]


def test_a_late_row_that_is_right_is_no_difference(stored: Verified) -> None:
    """A row is compared at its own version; where it is not seen to catch up the answer is: not checked."""
    asyncio.run(make_read_models(stored.database.dsn("projector"), stored.log, {ORDER: 3}))
    stored.send(record for records in stored.log.records.values() for record in records)
    status, answer = stored.verify("order_summary")
    assert (status, answer["equal"], answer["first"]) == (2, False, None)
    assert answer["counts"]["order_summary"] == {
        "checked": COUNT + 1,
        "differences": 0,
        "parked": 0,
        "behind": 1,
    }


@pytest.mark.parametrize("version", [0, 3])
@pytest.mark.parametrize("read_model", READ_MODELS)
def test_an_order_that_was_passed_over_is_a_difference(
    stored: Verified, read_model: str, version: int
) -> None:
    """An order that lags, or is missing, after its read model has read all of the topic will stay so."""
    asyncio.run(make_read_models(stored.database.dsn("projector"), stored.log, {ORDER: version}))
    stored.send(record for records in stored.log.records.values() for record in records)
    stored.reached(read_model)
    status, answer = stored.verify(read_model)
    assert status == 1
    assert answer["first"]["order_id"] == str(ORDER.aggregate_id)
    assert f"at version {version}, and should have applied version 4" in answer["first"]["what"]
    assert any(each["differs"] for each in answer["first"]["fields"])


def test_a_parked_order_is_told_as_parked(stored: Verified) -> None:
    """A parked order waits for an operator: it is counted apart, and is no difference."""
    asyncio.run(make_read_models(stored.database.dsn("projector"), stored.log, {ORDER: 3}))
    stored.sql(
        "INSERT INTO projections.parked (read_model, generation, tenant_id, order_id, partition, version,"
        " newest_version, last_offset, error) VALUES ('sales', 1, $1, $2, 0, 4, 4, 9, 'no such day')",
        *ORDER,
    )
    status, answer = stored.verify("sales")
    assert (status, answer["counts"]["sales"]["parked"]) == (0, 1)


def test_a_gap_in_the_log_is_found(made: Verified) -> None:
    """The versions of each order must be 1 to n."""
    made.sql(
        "INSERT INTO order_events (event_id, aggregate_id, tenant_id, version, event_type, schema_version,"
        " payload, metadata, occurred_at, recorded_at)"
        " SELECT gen_random_uuid(), aggregate_id, tenant_id, 6, event_type, schema_version, payload,"
        " metadata, occurred_at, recorded_at FROM order_events WHERE version = 4 AND aggregate_id = $1",
        ORDER.aggregate_id,
    )
    status, answer = made.verify("order_summary")
    assert (status, answer["first"]["where"]) == (1, "log")
    assert "version 6 stands where version 5 should" in answer["first"]["what"]


def test_without_tables_nothing_can_be_checked(stored: Verified) -> None:
    """A read model that was never made is neither equal nor different: exit status 2."""
    assert stored.verify("sales")[0] == 2


def test_without_a_database_nothing_can_be_checked(stored: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that doesn't answer is not taken for a difference: exit status 2."""
    monkeypatch.setenv("TILLSTREAM_OPERATOR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert stored.verify()[0] == 2


def test_what_was_found_is_told_although_the_rest_could_not_be_checked(made: Verified) -> None:
    """A difference is a difference, whatever keeps a later part from being checked; both are recorded."""
    made.reached("sales")
    made.sql("UPDATE projections.checkpoints SET refolding = true")
    status, answer = made.verify()
    assert (status, answer["equal"], answer["first"]) == (2, False, None)
    assert "sales is being folded again" in answer["unchecked"]
    made.sql("UPDATE projections.order_summary_1 SET total = 99 WHERE order_id = $1", ORDER.aggregate_id)
    status, answer = made.verify()
    assert (status, answer["first"]["where"]) == (1, "order_summary")
    assert "sales is being folded again" in answer["unchecked"]
    (_, (outcome, details)) = made.sql("SELECT outcome, details FROM operations.results ORDER BY action_id")
    recorded = json.loads(details)
    assert (outcome, recorded["equal"], recorded["unchecked"]) == ("failed", False, answer["unchecked"])
    assert recorded["counts"] == answer["counts"]


def test_a_generation_that_was_replaced_meanwhile_proves_nothing(
    made: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found in tables that are no longer live is forgotten; what was found elsewhere stays."""

    async def replaced(*_: object) -> None:
        conn = await asyncpg.connect(made.database.dsn())
        await conn.execute(
            "UPDATE projections.generations SET generation = 2 WHERE read_model = 'order_summary'"
        )
        await conn.close()

    made.sql("UPDATE projections.order_summary_1 SET total = 99")
    monkeypatch.setattr("operations.verify.checking.check_views", replaced)
    status, answer = made.verify("order_summary")
    assert (status, answer["first"]) == (2, None)
    assert "a new generation of order_summary went live" in answer["unchecked"]
    made.sql("UPDATE projections.generations SET generation = 1")
    made.sql("UPDATE projections.audit_log_1 SET actor = 'eve'")
    status, answer = made.verify()
    assert (status, answer["first"]["where"]) == (1, "audit_log")


def test_a_person_reads_both_rows(made: Verified) -> None:
    """The table names the first difference with the field as it is and as the log has it."""
    made.sql("UPDATE projections.order_summary_1 SET total = 99")
    result = CliRunner().invoke(app, ["verify", "order_summary", "--patience", "0"])
    assert result.exit_code == 1
    assert "First difference: order_summary" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("total ")]
    assert "99" in line
    assert line.rstrip().endswith("≠")


def test_nothing_that_was_found_steers_the_terminal(made: Verified) -> None:
    """What somebody wrote into a row is escaped, in the cells and in the title."""
    evil = "\x1b]0;owned\x07\x1b[2J"
    made.sql("UPDATE projections.audit_log_1 SET actor = $1", evil)
    shown = CliRunner().invoke(app, ["verify", "audit_log", "--patience", "0"], env={"COLUMNS": "300"})
    assert shown.exit_code == 1
    assert r"\x1b]0;owned\x07\x1b[2J" in shown.stdout
    made.sql(
        "UPDATE projections.order_summary_1 SET tenant_id = $1, order_id = $2 WHERE order_id = $3",
        evil,
        uuid4(),
        ORDER.aggregate_id,
    )
    titled = CliRunner().invoke(app, ["verify", "order_summary", "--patience", "0"])
    assert r"of \x1b]0;owned\x07\x1b[2J: it has rows" in titled.stdout
    assert "\x1b" not in shown.stdout + titled.stdout
