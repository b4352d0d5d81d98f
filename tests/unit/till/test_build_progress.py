"""What a person who follows a build is told beside the bar."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from operations.rebuild import Build, FollowedBuild
from till import build_progress
from till.build_progress import show_build

ANALYST = "tillstream_analyst (report [1]), pid 4711, idle in transaction, since 2026-11-28 02:14:03 UTC"


def build(state: str, *blocked_by: str) -> FollowedBuild:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "id": 1,
        "read_model": "sales",
        "kind": "rebuild",
        "state": state,
        "version": 1,
        "generation": 2,
        "throttle": None,
        "hold": False,
        "cancel_requested": False,
        "requested_at": now,
        "actor": "ann@till",
        "started_at": now,
        "finished_at": None,
        "silent_seconds": 0.0,
        "orders_total": 5,
        "orders_done": 5,
        "comparison": None,
        "error": None,
        "blocked_by": list(blocked_by),
    }
    return FollowedBuild(Build(**fields), None, None)


async def test_who_is_in_the_way_of_a_swap_is_told_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As often as it is seen, a session is named once, as it is, with how it can be ended."""

    async def follow(*_: object) -> AsyncIterator[FollowedBuild]:
        for seen in (build("comparing", ANALYST), build("comparing", ANALYST), build("swapped")):
            yield seen

    monkeypatch.setattr(build_progress, "follow", follow)
    assert (await show_build(Mock(), 1)).state == "swapped"
    told = " ".join(capsys.readouterr().err.split())
    assert told.count(f"The swap waits for {ANALYST}. It goes on once that is over") == 1
    assert "pg_terminate_backend" in told
