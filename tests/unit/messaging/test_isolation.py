"""Every consumer of ours reads what was committed only."""

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_consumers_are_made_in_one_place() -> None:
    """Aiokafka reads transactions that were taken back unless told not to: one place makes its consumers."""
    makers = {
        str(file.relative_to(ROOT))
        for folder in ("libs", "services")
        for file in (ROOT / folder).rglob("*.py")
        if "AIOKafkaConsumer(" in file.read_text()
    }
    assert makers == {"libs/messaging/connection.py"}
