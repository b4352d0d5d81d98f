"""The demo's baskets: read from the data set, sent as commands, and the figures to check against.

Beside them the few orders that the documents speak of.

`expected` computes those figures from the data set alone. It, `selection` and `dataset` import nothing of
`orders`, `eventstore` or `readmodels`, so that no mistake there can hide itself.
"""

from demo.arrival import arriving, count_events
from demo.baskets import read_baskets
from demo.check import Comparison, compare, find_example, read_figures
from demo.commands import commands
from demo.expected import expected_figures
from demo.load import LoadedBaskets, send_baskets, send_named_orders
from demo.named_orders import NAMED_ORDERS, named_orders

__all__ = [
    "NAMED_ORDERS",
    "Comparison",
    "LoadedBaskets",
    "arriving",
    "commands",
    "compare",
    "count_events",
    "expected_figures",
    "find_example",
    "named_orders",
    "read_baskets",
    "read_figures",
    "send_baskets",
    "send_named_orders",
]
