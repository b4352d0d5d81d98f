"""What a verb raises itself: for what was typed or set wrongly, and for what came out badly."""


class TillError(Exception):
    """A failure told in one line, with what to do next in another."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice
