"""The read models: tables computed from the folded orders, each of them disposable."""

from collections.abc import Mapping

from readmodels.audit_log import AuditLog
from readmodels.event_rows import EventRows, Row
from readmodels.folding import fold
from readmodels.generation_tables import tables_of
from readmodels.order_summary import OrderSummary
from readmodels.process_steps import ProcessSteps
from readmodels.product_movements import ProductMovements
from readmodels.read_model import (
    UNKNOWN_OFFSET,
    AppliedEvent,
    OrderChange,
    OrderKey,
    Placed,
    Provenance,
    ReadModel,
)
from readmodels.sales import Sales

READ_MODELS: Mapping[str, type[ReadModel]] = {
    model.name: model for model in (AuditLog, OrderSummary, ProcessSteps, ProductMovements, Sales)
}
"""Every read model by its name, which is also the name of its view in the schema `read_models`."""

__all__ = [
    "READ_MODELS",
    "UNKNOWN_OFFSET",
    "AppliedEvent",
    "AuditLog",
    "EventRows",
    "OrderChange",
    "OrderKey",
    "OrderSummary",
    "Placed",
    "Provenance",
    "ReadModel",
    "Row",
    "Sales",
    "fold",
    "tables_of",
]
