"""`python -m query_service` runs one query service."""

from __future__ import annotations

from query_service.app import main

main()
