"""What an operation raises when it can't be done, or not now.

OperationRefused          what was asked for can't be done as things stand
├── AlreadyUnderWay       somebody else is at what it would cross
├── NotFound              what was named, or has to be there, is not
├── Unreachable           PostgreSQL or Kafka does not answer, or turns us away
├── CouldNotCheck         something keeps us from telling whether all is equal
└── Contradiction         the topics and the database tell different stories

What to do next is for whoever asked to say, by the code: a command line names its verbs, a page its buttons.
"""

from collections.abc import Sequence

_TOLD = 5


class OperationRefused(Exception):
    """Something stands in an operation's way: the message is one sentence, or says what without one.

    `code` names the case for programs; `facts` are what advice on it may quote, such as `read_model`.
    """

    def __init__(self, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


class AlreadyUnderWay(OperationRefused):
    """Another operation, or a service at work, is at what this one would cross."""


class NotFound(OperationRefused):
    """What was named, or has to be there, is not."""


class Unreachable(OperationRefused):
    """A server that the operation needs does not answer, or turns us away."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


class CouldNotCheck(OperationRefused):
    """Something keeps us from telling whether all is equal; the text says what."""

    def __init__(self, message: str) -> None:
        super().__init__("could_not_check", message)


class Contradiction(OperationRefused):
    """The topics and the database tell different stories, which a person has to settle."""

    def __init__(self, contradictions: Sequence[str]) -> None:
        told = "; ".join(contradictions[:_TOLD])
        more = len(contradictions) - _TOLD
        super().__init__(
            "contradiction",
            f"Topics and database contradict each other: {told}{f'; and {more} more' if more > 0 else ''}.",
        )
