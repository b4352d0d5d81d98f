"""`python -m command_service` runs one command service."""

from __future__ import annotations

from command_service.app import main

main()
