"""What can go wrong between wanting a server and having one.

LocalServerError
├── MissingPartError      a package, program or right that the servers need is not there
├── DownloadError         an artifact could not be had from the package registry
├── ChecksumError         an artifact is not the one the lock names
└── StartError            the server ended, or did not answer in time
"""


class LocalServerError(Exception):
    """A local server can't be run; `advice` says what to do about it."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class MissingPartError(LocalServerError):
    """A package, program or right that the servers need is not there."""


class DownloadError(LocalServerError):
    """An artifact could not be had from the package registry."""


class ChecksumError(LocalServerError):
    """An artifact is not the one the lock names."""


class StartError(LocalServerError):
    """The server ended, or did not answer in time."""
