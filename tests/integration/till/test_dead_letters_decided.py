"""Dead letters that are sent again or settled, and what is held back released: each on the record."""

from typing import Any

import pytest

from integration.till.conftest import Till
from integration.till.letters_made import NOW_MS, Headers, Letters, listed, sound
from operations.dead_letters import deciding
from operations.errors import OperationRefused
from till.errors import TillError


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
