"""Search results, products sold, sales and the audit trail in answers."""

from pydantic import BaseModel

from queries.audit import AuditEntry
from queries.products import ProductSold
from queries.sales import SalesRow
from queries.searching import Hit


class Hits(BaseModel):
    """What was found: orders and commands of this id, then orders that had the product or the line."""

    hits: list[Hit]


class Sales(BaseModel):
    """Sales by what was asked for, always apart by currency."""

    sales: list[SalesRow]


class Products(BaseModel):
    """Some products, by id and currency; `next_cursor` asks for the next ones, null where there are none."""

    products: list[ProductSold]
    next_cursor: str | None


class AuditPage(BaseModel):
    """Some entries, newest first; `next_cursor` asks for the next ones, null where there are none."""

    entries: list[AuditEntry]
    next_cursor: str | None
