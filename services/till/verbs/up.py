import os
import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from local import Home, Supervisor, bring_up, caller_settings, take_down
from local.servers import kafka_jars
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_rows

_LOOK_SECONDS = 1.0


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Run everything on this machine: PostgreSQL, Kafka and the services, until Ctrl-C."""
    if (servers := os.environ.get("TILLSTREAM_SERVERS", "embedded")) != "embedded":
        raise TillError(
            f"`till up` runs embedded servers, but TILLSTREAM_SERVERS is {servers}.",
            "Unset it, or start the services against your servers yourself: `python -m command_service` …",
        )
    home = Home()
    if supervisor := Supervisor.running(home):
        notices.print("Everything is up already.")
        _print(supervisor, output)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        kafka_jars()  # The first time: a progress bar of its own.
        with notices.status("Starting") as status:
            supervisor = bring_up(home, lambda step: status.update(f"{step} …"), with_us=not detach)
        _print(supervisor, output)
        _tell_of_callers(supervisor)
        notices.print("Logs are in .tillstream/logs; `set -a; . .tillstream/env` points clients here.")
        if detach:
            notices.print("Up until `till down`.")
            return
        notices.print("Up until Ctrl-C.")
        stay(supervisor)
    except KeyboardInterrupt:
        with notices.status("Stopping …"):
            take_down(home)
        notices.print("Everything is stopped; the data is kept in .tillstream.")


def stay(supervisor: Supervisor) -> None:
    """Wait for Ctrl-C or SIGTERM, as KeyboardInterrupt. Raises TillError when the supervisor ends."""
    while supervisor.is_alive():
        threading.Event().wait(_LOOK_SECONDS)
    raise TillError("The supervisor has ended.", "If it was not `till down`, read .tillstream/logs.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell_of_callers(supervisor: Supervisor) -> None:
    for setting, identity in caller_settings().items():
        tenant, actor, role = identity.split(":")
        notices.print(
            f"{supervisor.addresses['query_service']}/docs answers whoever is on this machine, as the {role}"
            f" {actor} of {tenant}: {setting}=tenant:actor:role lets them in as another."
        )


def _print(supervisor: Supervisor, output: Output) -> None:
    rows = [
        {"name": name, "address": address, "log": f".tillstream/logs/{name}.log"}
        for name, address in supervisor.addresses.items()
    ]
    print_rows(rows, ["name", "address"], output, "Tillstream on this machine")
