"""Who may speak of the tables that read models are kept in."""

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_no_sql_over_projections_stands_outside_its_owner() -> None:
    """Read models, checkpoints, generations and parked orders are asked for through `readmodels`."""
    owner = ROOT / "libs/readmodels"
    files = [each for room in ("libs", "services") for each in (ROOT / room).rglob("*.py")]
    assert [
        str(each.relative_to(ROOT))
        for each in files
        if owner not in each.parents and "projections." in each.read_text(encoding="utf-8")
    ] == []
