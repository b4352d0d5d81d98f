"""Commands over HTTP: put on Kafka as a terminal would, and their outcomes waited for."""

from query_service.commands.body import Sent, read_body
from query_service.commands.outcomes import Outcome, Outcomes, Waiting
from query_service.commands.sending import NotSent, Sender

__all__ = ["NotSent", "Outcome", "Outcomes", "Sender", "Sent", "Waiting", "read_body"]
