"""What came of a build, for people and for programs."""

from dataclasses import asdict
from typing import Any

from operations.rebuild import Build
from till.output import Output, answers, print_json, print_rows

_COUNTS = ("added", "gone", "changed", "unsettled", "parked")


def comparison_counts(build: Build) -> dict[str, Any]:
    """Return the comparison's figures, for the record."""
    found = build.comparison or {}
    return {name: found[name] for name in ("rows", *_COUNTS) if name in found}


def print_build(build: Build, output: Output) -> None:
    """Print how a build ended, and how the new generation's rows differ from the old one's."""
    if output is Output.json:
        print_json(asdict(build))
        return
    answers.print(_ended(build), highlight=False, soft_wrap=True)
    comparison = build.comparison
    if comparison is None:
        return
    counts = ", ".join(f"{comparison[name]:,} {name}" for name in _COUNTS[:3])
    answers.print(f"Of {comparison['rows']:,} rows: {counts}.", highlight=False, soft_wrap=True)
    if comparison["unsettled"]:
        answers.print(
            f"{comparison['unsettled']:,} rows changed too often to be compared.",
            highlight=False,
            soft_wrap=True,
        )
    if comparison["parked"]:
        answers.print(
            f"{comparison['parked']:,} orders can't be folded and are parked: till parked list.",
            highlight=False,
            soft_wrap=True,
        )
    if comparison["not_compared"]:
        tables = ", ".join(comparison["not_compared"])
        answers.print(f"Not compared, for only one has them: {tables}.", highlight=False, soft_wrap=True)
    for example in comparison["examples"]:
        _print_example(example)


def _ended(build: Build) -> str:
    name = build.read_model
    if build.holds:
        return (
            f"Generation {build.generation} of {name} is level, and holds: `till rebuild {name} --swap` puts"
            " it in, `--cancel` drops it."
        )
    if build.state == "swapped":
        return (
            f"Generation {build.generation} of {name} is live. The one before is kept:"
            f" `till rebuild {name} --rollback` goes back to it, `--clean-up` drops it."
        )
    return f"The {build.kind} of {name} was {build.state}; readers saw nothing of it."


def _print_example(example: dict[str, Any]) -> None:
    """Print both rows of a difference: of a changed row the key, and the columns that differ."""
    live, new = example["live"] or {}, example["new"] or {}
    named = [column for column in ("tenant_id", "order_id", "version") if column in {**live, **new}]
    columns = {
        column: None
        for column in (*live, *new)
        if example["what"] != "changed" or live.get(column) != new.get(column)
    }
    key = ", ".join(f"{column} {({**live, **new})[column]}" for column in named)
    rows = [{"column": column, "live": live.get(column), "new": new.get(column)} for column in columns]
    print_rows(
        rows, ("column", "live", "new"), Output.table, title=f"{example['table']}, {example['what']}: {key}"
    )
