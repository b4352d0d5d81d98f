"""What `till dead-letters` lists and shows."""

import base64
from uuid import uuid4

import pytest

from harness.plain_client import command
from integration.till.conftest import Till
from integration.till.letters_made import HOUR_MS, NOW_MS, Headers, Letters, listed, sound


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


def test_records_that_are_no_dead_letters_are_counted(till: Till, letters: Letters) -> None:
    """What somebody else put on the topic is not taken for a letter, and not passed over in silence."""
    letters.put(0)
    letters.send(letters.topics.dead_letters, None, b"x", [("deadletter_id", b"x")], at=NOW_MS, partition=0)
    assert listed(till) == [0]
    assert "1 records on the topic are no dead letters" in letters.till("list").stderr
