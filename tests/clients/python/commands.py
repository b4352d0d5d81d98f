"""Writes every command by what openapi-python-client makes of /openapi.json, the package `tills`."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import tills.models as made
from tills import Client
from tills.api.commands import send_command

client = Client(os.environ["TILLSTREAM_ADDRESS"])
order = uuid4()


def send(kind: str, data: Any = None, **more: Any) -> None:
    """Send one command; its class and that of its type are named after it."""
    type_ = getattr(made, f"{kind}Type")(kind)
    given = {} if data is None else {"data": data}
    body = getattr(made, kind)(command_id=uuid4(), order_id=order, type_=type_, **given, **more)
    outcome = send_command.sync(client=client, body=body)
    if not isinstance(outcome, made.CommandOutcome) or outcome.status != "accepted":
        raise SystemExit(str(outcome))


def item(**more: str) -> Any:
    """Give the data of a line."""
    return made.AddItemData(product_id="p-1", name="Tea", quantity="2", unit_price="3.50", **more)


BY = {"authorised_by": "mia"}
send("CreateOrder", made.CreateOrderData(cashier_id="anna", currency="EUR"))
send("AddItem", item())
send("AddItem", item(line_id="milk"))
send("ChangeItemQuantity", made.ChangeItemQuantityData(line_id="1", quantity="3"))
send("ApplyLineDiscount", made.ApplyLineDiscountDataByPercent(line_id="1", percent="10", **BY))
send("ApplyLineDiscount", made.ApplyLineDiscountDataByAmount(line_id="1", amount="0.50", **BY))
send("RemoveLineDiscount", made.RemoveLineDiscountData(line_id="1"))
send("ApplyDiscount", made.ApplyDiscountData(percent="5", reason="staff", **BY))
send("RemoveDiscount")
send("RemoveItem", made.RemoveItemData(line_id="milk"))
send("UndoLastChange", expected_version=10)
send("RedoLastChange", expected_version=11)
send("ConfirmOrder", occurred_at=datetime.now(UTC))
send("VoidOrder", made.VoidOrderData(reason="returned", **BY))
print(order)  # noqa: T201 - what it is started for
