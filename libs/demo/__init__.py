"""The demo's baskets: read from the data set, sent as commands, and the figures to check against.

`expected` computes those figures from the data set alone. It, `selection` and `dataset` import nothing of
`orders`, `eventstore` or `readmodels`, so that no mistake there can hide itself.
"""

from demo.arrival import arriving, count_events
from demo.baskets import Basket, BasketLine, read_baskets
from demo.check import Comparison, RowDifference, compare, find_example, read_figures
from demo.commands import CommandRecord, commands
from demo.expected import Figures, expected_figures
from demo.load import LoadedBaskets, send_baskets
from demo.selection import order_id_of

__all__ = [
    "Basket",
    "BasketLine",
    "CommandRecord",
    "Comparison",
    "Figures",
    "LoadedBaskets",
    "RowDifference",
    "arriving",
    "commands",
    "compare",
    "count_events",
    "expected_figures",
    "find_example",
    "order_id_of",
    "read_baskets",
    "read_figures",
    "send_baskets",
]
