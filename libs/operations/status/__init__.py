"""How an installation stands: read models, their lag and rates, and the outbox."""
