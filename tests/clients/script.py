"""What each client sends: one order's whole life, and the mistakes that senders make."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

TENANT, OTHER_TENANT = "store-1", "store-2"


@dataclass(frozen=True)
class Step:
    """One command, and what has to become of it.

    `mode` is `binary` or `structured`, or a mistake: `envelope` is one in JSON's own content type, `batch` a
    list of one. `spoilt` names headers to be replaced, by values in hexadecimal or none. `expected` is
    `accepted`, a code of `docs/rejections.md`, `dead letter` or `nothing`; `told` is what a refusal says.
    """

    name: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    mode: str = "binary"
    expected: str = "accepted"
    told: str = ""
    # The step whose command id this one uses again.
    again: str = ""
    order: str = "sold"
    tenant: str = TENANT
    attributes: dict[str, Any] = field(default_factory=dict)
    spoilt: dict[str, list[str | None]] = field(default_factory=dict)
    rolled_back: bool = False
    # Not every client can send a header without a value.
    needs_null: bool = False


TEA = {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "3.50"}
# Numbers, and a name that ASCII can't write.
MILK = {"product_id": 7, "name": "Füllmilch 牛奶", "quantity": 1, "unit_price": 1.25}
BY_MIA = {"authorised_by": "mia"}
ANNA, BEN = "616e6e61", "62656e"

LIFE = (
    Step("create", "CreateOrder", {"cashier_id": "anna", "currency": "EUR"}),
    Step("tea", "AddItem", TEA, attributes={"training": True}),
    Step("milk", "AddItem", MILK, mode="structured", attributes={"training": False, "expectedversion": 2}),
    Step("more tea", "ChangeItemQuantity", {"line_id": "1", "quantity": "3"}, mode="structured"),
    Step("line discount", "ApplyLineDiscount", {"line_id": "1", "percent": "10", **BY_MIA}),
    Step("no line discount", "RemoveLineDiscount", {"line_id": "1"}),
    Step("discount", "ApplyDiscount", {"percent": "5", "reason": "staff", **BY_MIA}, mode="structured"),
    Step("no discount", "RemoveDiscount"),
    Step("discount again", "ApplyDiscount", {"percent": "20", **BY_MIA}),
    Step("no milk", "RemoveItem", {"line_id": "2"}),
    Step("undo", "UndoLastChange", attributes={"expectedversion": "10"}),
    Step("redo", "RedoLastChange", mode="structured", attributes={"expectedversion": 11}),
    Step("confirm", "ConfirmOrder"),
    Step("create another", "CreateOrder", {"cashier_id": "anna", "currency": "JPY"}, order="voided"),
    Step("void", "VoidOrder", {"reason": "left", **BY_MIA}, mode="structured", order="voided"),
)
# What the first order comes to: three teas at 3.50, less 20 percent.
SUBTOTAL, DISCOUNT, TOTAL = "10.50", "2.10", "8.40"


def _wrong(name: str, expected: str, told: str = "", **more: Any) -> Step:
    return Step(name, "AddItem", expected=expected, told=told, **{"data": TEA, **more})


_NOT_TAKEN = "content-type: application/cloudevents-batch+json is not taken"
_MISCALLED = "content-type: must be application/cloudevents+json"
MISTAKES = (
    _wrong("rolled back", "nothing", rolled_back=True),
    _wrong("bad field", "malformed", "quantity: ", data={**TEA, "quantity": "-1"}),
    _wrong("bad field inside", "malformed", "price: ", data={**TEA, "price": 1}, mode="structured"),
    _wrong("the same again", "accepted", again="tea", attributes={"training": True}),
    _wrong("another under its id", "command_id_reused", again="tea", data=MILK),
    _wrong("another tenant's", "order_not_found", tenant=OTHER_TENANT),
    _wrong("no text", "malformed", "header ce_actor: is not UTF-8", spoilt={"ce_actor": ["ff"]}),
    _wrong("given twice", "malformed", "header ce_actor: is given twice", spoilt={"ce_actor": [ANNA, BEN]}),
    _wrong("twice the same", "order_not_open", spoilt={"ce_actor": [ANNA, ANNA]}, order="voided"),
    _wrong("null", "malformed", "actor: is required", spoilt={"ce_actor": [None]}, needs_null=True),
    _wrong("no time that is", "malformed", "time: ", spoilt={"ce_time": ["3137"]}),
    _wrong("no tenant", "dead letter", "tenantid: is required", spoilt={"ce_tenantid": []}),
    _wrong("empty tenant", "dead letter", "tenantid: must be", spoilt={"ce_tenantid": [""]}),
    _wrong("envelope", "malformed", _MISCALLED, mode="envelope"),
    _wrong("batch", "dead letter", _NOT_TAKEN, mode="batch"),
)


@dataclass(frozen=True)
class Script:
    """The steps of one client, named after it: their ids derive from the name."""

    client: str
    steps: tuple[Step, ...]
    codecs: tuple[str, ...]

    def id_of(self, name: str) -> UUID:
        """Return the id of an order or of a step's command."""
        return uuid5(UUID(int=0), f"{self.client} {name}")

    def command_id(self, step: Step) -> UUID:
        return self.id_of(f"step {step.again or step.name}")

    def told(self) -> list[dict[str, Any]]:
        """Return the steps as the programs take them."""
        return [
            {
                "event": {
                    "specversion": "1.0",
                    "id": str(self.command_id(step)),
                    "source": f"/clients/{self.client}",
                    "type": f"orders.{step.kind}",
                    "subject": str(self.id_of(step.order)),
                    "partitionkey": str(self.id_of(step.order)),
                    "time": "2026-01-31T12:00:00Z",
                    "datacontenttype": "application/json",
                    "tenantid": step.tenant,
                    "actor": "anna",
                    "correlationid": self.client,
                    **step.attributes,
                    "data": step.data,
                },
                "mode": step.mode,
                "spoilt": step.spoilt,
                "rolled_back": step.rolled_back,
                "compression": self.codecs[number % len(self.codecs)],
            }
            for number, step in enumerate(self.steps)
        ]
