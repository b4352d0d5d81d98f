"""Who may do what: the one table, by the name of the route. What is not in it nobody may do."""

from collections.abc import Mapping

from query_service.access.caller import Role

_CASHIER, _MANAGER, _AUDITOR, _OPERATOR = Role.CASHIER, Role.MANAGER, Role.AUDITOR, Role.OPERATOR

PERMISSIONS: Mapping[str, tuple[Role, ...]] = {
    "list_orders": (_CASHIER, _MANAGER, _AUDITOR),
    "show_order": (_CASHIER, _MANAGER, _AUDITOR),
    "search": (_CASHIER, _MANAGER, _AUDITOR),
    "order_history": (_MANAGER, _AUDITOR),
    "order_at": (_MANAGER, _AUDITOR),
    "order_diff": (_MANAGER, _AUDITOR),
    "audit_trail": (_MANAGER, _AUDITOR),
    "sales": (_MANAGER, _AUDITOR),
    "products": (_MANAGER, _AUDITOR),
    "process_map": (_MANAGER, _AUDITOR, _OPERATOR),
    "read_models": (_AUDITOR, _OPERATOR),
    "send_command": (_CASHIER, _MANAGER),
    # A cashier sees their own commands only.
    "show_command": (_CASHIER, _MANAGER, _AUDITOR),
    "live_events": (_CASHIER, _MANAGER, _AUDITOR),
}
"""The name of a route (its function's) → the roles that may use it."""
