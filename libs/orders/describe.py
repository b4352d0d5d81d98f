"""Events and changes of an order in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from orders.events import (
    DiscountApplied,
    DiscountRemoved,
    Event,
    EventData,
    ItemAdded,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
    OrderConfirmed,
    OrderCreated,
    OrderVoided,
)


def describe_event(event: Event) -> str:
    """Return what happened as half a sentence."""
    return _with_steps(_what(event.data), event.undoes, event.redoes)


def describe_changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    undoes: Sequence[int] | None = None,
    redoes: Sequence[int] | None = None,
) -> str:
    """Return how an entry of the audit trail changed an order's fields; of the totals only the total."""
    return _with_steps("; ".join(_changes(before, after)), undoes, redoes)


def _with_steps(told: str, undoes: Sequence[int] | None, redoes: Sequence[int] | None) -> str:
    for verb, versions in (("undoes", undoes), ("redoes", redoes)):
        if versions:
            told = f"{verb} version {', '.join(map(str, versions))}: {told}"
    return told


def _what(data: EventData) -> str:  # noqa: C901, PLR0911 - one case for each event
    match data:
        case OrderCreated():
            return f"cashier {data.cashier_id}, {data.currency}, business day {data.business_day}"
        case ItemAdded():
            return f"line {data.line_id}: {data.quantity} of {data.name} at {data.unit_price}"
        case ItemRemoved():
            return f"line {data.line_id} out"
        case ItemQuantityChanged():
            return f"line {data.line_id}: quantity {data.old} to {data.new}"
        case DiscountApplied():
            return f"{data.percent} % off the order{_because(data.reason)}"
        case DiscountRemoved():
            return "no discount on the order any more"
        case LineDiscountApplied():
            off = f"{data.percent} %" if data.amount is None else f"{data.amount}"
            return f"line {data.line_id}: {off} off{_because(data.reason)}"
        case LineDiscountRemoved():
            return f"line {data.line_id}: no discount any more"
        case OrderConfirmed():
            return f"total {data.total}, sold on {data.business_day} in hour {data.hour}"
        case OrderVoided():
            return data.reason
        case _:
            assert_never(data)


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    # What it came to is told last.
    for name in sorted({**before, **after}, key=lambda name: (name == "totals", name)):
        was, now = before.get(name), after.get(name)
        match name:
            case "lines":
                was, now = was or {}, now or {}
                for line_id in {**was, **now}:
                    yield f"line {line_id}: {', '.join(_moves(was.get(line_id), now.get(line_id)))}"
            case "totals":
                totals = ({} if each is None else {"total": each.get("total")} for each in (was, now))
                yield from _moves(*totals)
            case _:
                yield from _moves({name: was}, {name: now})


def _moves(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[str]:
    before, after = before or {}, after or {}
    for name in {**before, **after}:
        was, now = before.get(name), after.get(name)
        if isinstance(was, dict) or isinstance(now, dict):
            yield from (f"{name} {move}" for move in _moves(was, now))
        elif was is None and now is not None:
            yield f"{name} {now}"
        elif was is not None:
            yield f"{name} {was} → {'none' if now is None else now}"
