"""What can be asked: one module a kind of question."""

from query_service.routes import audit, commands, documents, events, figures, history, orders, read_models

ROUTERS = (
    # The most asked for first: routes are looked through in this order.
    commands.router,
    orders.router,
    history.router,
    figures.router,
    audit.router,
    read_models.router,
    events.router,
    documents.router,
)
"""Every router of the app."""

__all__ = ["ROUTERS"]
