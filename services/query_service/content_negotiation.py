"""Which form of an answer a client wants (RFC 9110, Accept)."""

from collections.abc import Mapping
from enum import StrEnum

from query_service.problems import Problem


class Form(StrEnum):
    """The forms that there are of a list."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


MEDIA_TYPES: Mapping[Form, str] = {
    Form.JSON: "application/json",
    Form.CSV: "text/csv",
    Form.NDJSON: "application/x-ndjson",
}
LONGEST_ACCEPT = 1_000


def form_wanted(accept: str | None) -> Form:
    """Return the form that an Accept header likes best; of equals the first named. Raises Problem (406).

    Of a form counts what names it most precisely: `text/csv;q=0, */*` is anything but CSV.
    """
    if not accept:
        return Form.JSON
    named: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept[:LONGEST_ACCEPT].lower().split(",")):
        kind, *parameters = (each.strip() for each in part.split(";"))
        named.setdefault(kind, (_quality(parameters), -place))
    best, found = (0.0, 0), None
    for form, media_type in MEDIA_TYPES.items():
        ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        liked = next((named[each] for each in ranges if each in named), best)
        if liked[0] > 0 and (found is None or liked > best):
            best, found = liked, form
    if found is None:
        raise Problem.of("not-acceptable", f"There are {', '.join(MEDIA_TYPES.values())}.")
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
