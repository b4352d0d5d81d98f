"""Commands over HTTP: put on Kafka as a terminal would, and their outcomes waited for."""

from query_service.commands.body import Sent, read_body
from query_service.commands.outcomes import Outcomes, Stopped, Told, Waiting
from query_service.commands.sending import NotSent, Sender

__all__ = ["NotSent", "Outcomes", "Sender", "Sent", "Stopped", "Told", "Waiting", "read_body"]
