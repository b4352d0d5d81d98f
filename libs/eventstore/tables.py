"""The tables of one aggregate type, and the statements over them."""

import re

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Tables:
    """The names of an aggregate type's tables: those of `order` are `order_events` and `order_snapshots`.

    Raises `ValueError` for a name that is no plain SQL identifier of at most 40 characters.
    """

    def __init__(self, aggregate: str) -> None:
        if not _NAME.fullmatch(aggregate):
            raise ValueError(f"{aggregate!r} can't name tables: must be lower-case letters, digits and _")
        self.aggregate = aggregate
        self.events = f"{aggregate}_events"
        self.snapshots = f"{aggregate}_snapshots"
        self._made: dict[str, str] = {}

    def sql(self, template: str) -> str:
        """Return a statement with `{aggregate}`, `{events}` and `{snapshots}` filled in.

        Each is made once, so that a connection knows it again and keeps it prepared.
        """
        made = self._made.get(template)
        if made is None:
            names = {"aggregate": self.aggregate, "events": self.events, "snapshots": self.snapshots}
            made = self._made[template] = template.format_map(names)
        return made
