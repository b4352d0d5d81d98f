"""What can be asked: one module a kind of question."""

from query_service.routes import history, problem_pages

ROUTERS = (history.router, problem_pages.router)
"""Every router of the app."""

__all__ = ["ROUTERS"]
