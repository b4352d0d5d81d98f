"""`till lag`: how far each read model is behind the topic of events."""

from __future__ import annotations

from till.connecting import run
from till.lag import Lag, read_lag
from till.output import Output, OutputOption, print_json, print_rows
from till.settings import till_settings


def lag(output: OutputOption = Output.table) -> None:
    """Show how many events each read model has not applied yet, and how old the oldest of them is."""
    lags = run(read_lag(till_settings()))
    if output is Output.json:
        print_json({name: each._asdict() for name, each in lags.items()})
        return
    rows = [{"read_model": name, **each._asdict()} for name, each in lags.items()]
    print_rows(rows, ("read_model", *Lag._fields), output, title="Not yet applied")
