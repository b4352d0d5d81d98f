"""`python -m outbox_relay` runs one relay."""

from outbox_relay.app import main

main()
