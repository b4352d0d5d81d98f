"""Which tests the workers of pytest-xdist run together."""

from xdist.scheduler import LoadFileScheduling

# What starts a server for the session, which another worker would start once more.
_FOLDERS = ("tests/e2e/security/",)


class ByFile(LoadFileScheduling):  # type: ignore[misc] # untyped
    """A file goes to a worker as a whole, and so does a folder whose files share a server of their own."""

    def _split_scope(self, nodeid: str) -> str:
        for folder in _FOLDERS:
            if nodeid.startswith(folder):
                return folder
        return str(super()._split_scope(nodeid))
