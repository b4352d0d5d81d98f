"""What a verb raises when a person can do something about it.

`NotUpError` is the `TillError` of a verb whose servers or services do not run.
"""

from __future__ import annotations

from operations.errors import OperationRefused, Unreachable


class TillError(OperationRefused):
    """A failure told in one line, with what to do next in another."""


class NotUpError(Unreachable, TillError):
    """The servers or services that the verb needs do not run."""
