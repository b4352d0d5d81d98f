"""What is recorded of a call of one of Kafka's own tools."""

import pytest

from till.tool_arguments import only_looks, without_secrets


@pytest.mark.parametrize(
    ("call", "looks"),
    [
        ("topics --list", True),
        ("consumer-groups --describe --all-groups", True),
        ("get-offsets --topic orders.events", True),
        ("console-consumer --topic orders.events --from-beginning", True),
        ("topics --help", True),
        ("console-consumer --topic orders.events --group command_service", False),
        ("console-consumer --topic orders.events --consumer-property group.id=command_service", False),
        ("console-consumer --topic orders.events --consumer.config=file", False),
        ("console-producer --topic orders.commands", False),
        ("consumer-groups --reset-offsets --group command_service --to-earliest --execute", False),
        ("topics --delete --topic orders.events", False),
        ("delete-records --offset-json-file file", False),
        ("topics", False),
        ("transactions find-hanging --topic orders.commands", True),
        ("transactions forceTerminateTransaction --transactionalId till-7", False),
        ("transactions abort --topic orders.commands --partition 3 --start-offset 7", False),
    ],
)
def test_what_may_change_something_is_told_from_what_looks(call: str, looks: bool) -> None:
    """Only what plainly changes nothing counts as looking; a consumer with a group moves its offsets."""
    tool, *arguments = call.split()
    assert only_looks(tool, arguments) is looks


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--topic", "orders.events", "--delete"], ["--topic", "orders.events", "--delete"]),
        (["--add-config", "SCRAM-SHA-512=[password=x1]", "--alter"], ["--add-config", "…", "--alter"]),
        (["--add-config=SCRAM-SHA-512=[password=x1]"], ["--add-config=…"]),
        (["--add-config-file", "/x1", "--topic", "t"], ["--add-config-file", "…", "--topic", "t"]),
        (["--command-config=/x1"], ["--command-config=…"]),
        (["--consumer-property", "sasl.jaas.config=x1", "-v"], ["--consumer-property", "…", "-v"]),
        (["sasl.jaas.config=a Password='x1'"], ["…"]),
        (["--user-password=x1"], ["--user-password=…"]),
        (["--command-config", "-x1", "--topic"], ["--command-config", "…", "--topic"]),
        (["--topic=sasl.password=x1"], ["--topic=…"]),
        (["--user-password", "x1"], ["--user-password", "…"]),
    ],
)
def test_no_secret_is_kept(given: list[str], kept: list[str]) -> None:
    """What follows an option of settings or of a password, or speaks of a password, is left out."""
    assert without_secrets(given) == kept
