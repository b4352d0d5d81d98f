"""Whether what was printed is what a page shows.

White space doesn't count, since pages fold long lines and columns are as wide as what is in them. `…` stands
for anything. The rest is the same, but for what differs from run to run:
"""

import re

CUT = "…"
# The demo's own times, of its baskets and of the orders that pages speak of, are the same in each run.
_OWN = r"(?!2017-|2026-03-0)"
_DIFFERS = {
    "TIME": rf"\b{_OWN}20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC|\+00:00)?",
    "DAY": rf"\b{_OWN}20\d\d-\d\d-\d\d\b",
    # In a table whose columns are narrow it stands below its day.
    "CLOCK": r"(?<![T\d] )(?<!T)\b\d\d:\d\d:\d\dZ",
    "RATE": r"[\d,]+(\.\d+)?(?=/s\b| (events|orders|commands)/s\b)",
    "SECONDS": r"\b[\d,]+(\.\d+)?(?= s\b)",
    "PROGRESS": r"━+( +[\d,]+/[\d,]+ orders)?( +\d+:\d\d:\d\d)?",
    "PLACE": r"\b[\w-]{22}(\.\d+)+",
    "WATERMARK": r"\d{19}\.\d+(\.[\d.]*)?-\d+:\d+:[\d,]*",
    "PORT": r"(?<=127\.0\.0\.1:)\d+",
    "PERSON": r"\b[\w-]+@[\w-]+",
    "RULE": r"─+",
}
"""What differs by its name, with the form it has."""
_ANY = re.compile("|".join(f"(?P<{name}>{form})" for name, form in _DIFFERS.items()))
_SPACE = re.compile(r"\s+")


def is_as_shown(shown: str, printed: str) -> bool:
    """Tell whether a page may show this of what was printed."""
    parts = (re.escape(_plain(part)) for part in shown.split(CUT))
    return re.fullmatch(".*?".join(parts), _plain(printed)) is not None


def _plain(text: str) -> str:
    return _SPACE.sub("", _ANY.sub(lambda found: f"<{found.lastgroup}>", text))
