"""What an operation raises when a person can do something about it.

OperationRefused
└── Unreachable           PostgreSQL or Kafka does not answer, or turns us away
"""

from __future__ import annotations


class OperationRefused(Exception):
    """Something stands in an operation's way: told in one line, with what to do next in another."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class Unreachable(OperationRefused):
    """The servers or services that the operation needs do not answer."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "Start everything with `till up --detach`, then try again.")
