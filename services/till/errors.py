"""What a verb raises when a person can do something about it.

`NotUpError` is the `TillError` of a verb whose servers or services do not run.
"""


class TillError(Exception):
    """A failure told in one line, with what to do next in another."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class NotUpError(TillError):
    """The servers or services that the verb needs do not run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "Start everything with `till up --detach`, then try again.")
