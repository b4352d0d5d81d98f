"""`python -m outbox_relay` runs one relay."""

from __future__ import annotations

from outbox_relay.app import main

main()
