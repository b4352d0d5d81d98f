"""What went wrong, as problem details (RFC 9457): every kind of problem with the page that explains it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"
LONGEST_ECHO = 100


class Kind(NamedTuple):
    """A kind of problem: its status, its title, and what there is to do about it."""

    status: int
    title: str
    explanation: str


KINDS: Mapping[str, Kind] = {
    "invalid-request": Kind(
        400,
        "The request is not well formed",
        "`errors` names each field that is wrong and the rule that it breaks. Unknown parameters are refused "
        "too, so that a misspelt filter is not silently left out.",
    ),
    "not-authenticated": Kind(
        401,
        "Who is asking is not known",
        "Send a bearer token, signed with a key of this service's key set, that has not expired and has the "
        "claims sub, tenant, role, iss, aud and exp.",
    ),
    "forbidden": Kind(
        403,
        "The role does not allow this",
        "`detail` names the roles that may do this; see docs/query-api.md.",
    ),
    "not-found": Kind(
        404,
        "There is no such thing here",
        "Nothing of this id belongs to the token's tenant, or the path is none of this service's. A read "
        "model may lag behind: ask with `min_version` for an order that was changed just now.",
    ),
    "no-such-moment": Kind(
        404,
        "The order did not exist then",
        "The order exists, but has no such version, or did not exist yet at that time by that clock.",
    ),
    "method-not-allowed": Kind(405, "This can't be done here", "The header Allow names what can be."),
    "not-acceptable": Kind(
        406,
        "There is no such form of this",
        "Ask for a form that there is: `format` or the header Accept says which.",
    ),
    "order-parked": Kind(
        409,
        "The order is parked",
        "The read model could not apply an event of this order, so what it shows stays as it is until an "
        "operator has it tried again. The order's history, and the order at a version, can be asked for.",
    ),
    "place-gone": Kind(
        410,
        "There is nothing behind this place any more",
        "The events that this place pointed at can't be read: ask for the events from now or from the "
        "beginning on, and for what was missed the read models or the orders' histories.",
    ),
    "body-too-large": Kind(413, "The body is too large", "`detail` says how large it may be."),
    "unsupported-media-type": Kind(415, "The body is of another kind", "Send application/json."),
    "command-rejected": Kind(
        422,
        "The command was rejected",
        "The order's rules do not allow what the command asks for: `code` says why, for programs; see "
        "docs/rejections.md. The same command id gets the same answer for ever.",
    ),
    "too-many-requests": Kind(
        429, "Too many requests", "The header Retry-After says after how many seconds to try again."
    ),
    "too-many-streams": Kind(
        429, "Too many streams at a time", "Close one of the tenant's streams before another is opened."
    ),
    "too-many-commands": Kind(
        429,
        "Too many commands at a time",
        "As many commands as may be in hand wait for their outcomes here, all together or the tenant's. "
        "Nothing was sent: send it again, under the same command_id, after the seconds that the header "
        "Retry-After says. If it stays so, outcomes are late, which `till lag` explains, or it takes more "
        "processes of the query service.",
    ),
    "internal-error": Kind(
        500, "Something is wrong here", "It is not the request's fault, and it is logged."
    ),
    "not-there-yet": Kind(
        503,
        "The read model is not there yet",
        "The read model has not reached the order's version that was asked for, has not been made yet, or "
        "is, after a rollback or before an upgrade, at a version of its own that can't tell this: then "
        "`detail` says what to do. The header Retry-After says after how many seconds to try again.",
    ),
    "took-too-long": Kind(
        503,
        "The question took too long",
        "Ask for less: a shorter time, a smaller page, fewer filters without an index.",
    ),
    "unavailable": Kind(
        503, "A server behind this one does not answer", "Try again; the header Retry-After says when."
    ),
}


class FieldError(BaseModel):
    """One field of a request, and the rule that it breaks."""

    field: str = Field(examples=["query.limit"])
    rule: str = Field(examples=["must be at most 200"])


class ProblemDetails(BaseModel):
    """The body of every answer that is no success (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/invalid-request",
                    "title": KINDS["invalid-request"].title,
                    "status": 400,
                    "detail": "1 field is wrong.",
                    "errors": [{"field": "query.limit", "rule": "must be less than or equal to 200"}],
                }
            ]
        }
    )

    type: str = Field(description="A stable name of the kind of problem: the path of its page.")
    title: str
    status: int
    detail: str = Field(description="What went wrong this time.")
    errors: list[FieldError] | None = Field(None, description="Of an invalid request: each wrong field.")
    code: str | None = Field(None, description="Of a rejected command: why.")


class Problem(Exception):
    """A request can't be answered as asked; what is raised becomes the answer.

    `facts` are further members of the body.
    """

    def __init__(
        self, slug: str, detail: str, headers: Mapping[str, str] | None, facts: Mapping[str, Any]
    ) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug = slug
        self.status, self.title, _ = KINDS[slug]
        self.detail = detail
        self.headers = dict(headers or {})
        self.facts = dict(facts)

    @classmethod
    def of(cls, slug: str, detail: str, *, headers: Mapping[str, str] | None = None, **facts: Any) -> Self:  # noqa: ANN401 - any JSON
        """Return a problem of one of the `KINDS`."""
        return cls(slug, detail, headers, facts)

    @classmethod
    def of_fields(cls, errors: Iterable[tuple[str, str]]) -> Self:
        """Return the problem of fields (such as `query.limit`) and the rules that they break."""
        listed: Sequence[dict[str, str]] = [{"field": field, "rule": rule} for field, rule in errors]
        wrong = "1 field is wrong." if len(listed) == 1 else f"{len(listed)} fields are wrong."
        return cls("invalid-request", wrong, None, {"errors": listed})

    def response(self) -> Response:
        """Return the answer that tells of it."""
        body = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.facts,
        }
        return Response(to_json(body), self.status, self.headers, PROBLEM_JSON)
