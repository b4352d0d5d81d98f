from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from eventstore import EventStore, NewerSchema, UpcasterGap

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Steps = Mapping[tuple[str, int], Callable[[dict[str, Any], int, datetime], dict[str, Any]]]


def _step(name: str) -> Callable[[dict[str, Any], int, datetime], dict[str, Any]]:
    def lift(payload: dict[str, Any], version: int, occurred_at: datetime) -> dict[str, Any]:
        return {**payload, "steps": [*payload.get("steps", []), (name, version, occurred_at)]}

    return lift


def _store(schema_versions: Mapping[str, int], upcasters: Steps) -> EventStore[None]:
    class Versioned:
        name = "sale"
        state_version = 1

        def initial_state(self, *_: object) -> None:
            return None

        evolve_stored = dump_state = load_state = version = initial_state

    Versioned.schema_versions = schema_versions  # type: ignore[attr-defined]
    Versioned.upcasters = upcasters  # type: ignore[attr-defined]
    return EventStore(Versioned())  # type: ignore[arg-type]


def test_steps_are_taken_in_order() -> None:
    """An event is lifted one schema version at a time, each step with the event's own version and time."""
    store = _store({"Sold": 3}, {("Sold", 1): _step("one"), ("Sold", 2): _step("two")})
    one, two = ("one", 8, NOON), ("two", 8, NOON)
    lifted = [store.upcast("Sold", schema_version, {}, 8, NOON) for schema_version in (1, 2, 3)]
    assert lifted == [{"steps": [one, two]}, {"steps": [two]}, {}]


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_missing_step_is_found_at_construction(missing: int) -> None:
    """A store whose upcasters miss a step is never built, and the error names the step."""
    steps = {("Sold", step): _step("") for step in (1, 2, 3) if step != missing}
    with pytest.raises(UpcasterGap, match=f"Sold {missing}"):
        _store({"Sold": 4}, steps)


@pytest.mark.parametrize("loose", [("Sold", 2), ("Sold", 0), ("Slod", 1)])
def test_a_step_that_leads_nowhere_is_found_at_construction(loose: tuple[str, int]) -> None:
    """An upcaster from the newest version, or of an unknown type, is a mistake and not an extra."""
    with pytest.raises(UpcasterGap, match=f"{loose[0]} {loose[1]}"):
        _store({"Sold": 2}, {("Sold", 1): _step(""), loose: _step("")})


@pytest.mark.parametrize(("event_type", "schema_version"), [("Sold", 3), ("Returned", 1)])
def test_what_a_newer_build_wrote_is_refused(event_type: str, schema_version: int) -> None:
    """A schema version or an event type above what this build knows is an error, not a guess."""
    store = _store({"Sold": 2}, {("Sold", 1): _step("")})
    with pytest.raises(NewerSchema, match=event_type):
        store.upcast(event_type, schema_version, {}, 1, NOON)
