"""How an installation stands: read models, their lag and rates, and the outbox."""

from operations.status.lag import Lag, LagReader, Lags, PartitionLag, lag_reader, read_lags
from operations.status.rates import Rates

__all__ = ["Lag", "LagReader", "Lags", "PartitionLag", "Rates", "lag_reader", "read_lags"]
