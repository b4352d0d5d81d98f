"""Lets a request in: who it comes from, whether their role may do that, and how often."""

from collections.abc import Mapping

import structlog
from starlette.requests import Request

from query_service.access.caller import Caller, Role
from query_service.access.development import is_local_name
from query_service.access.permissions import PERMISSIONS
from query_service.access.tokens import InvalidToken, TokenChecker
from query_service.limits import RateLimit
from query_service.problems import Problem

_SCHEME = "bearer"


class Admission:
    """Admits requests; a problem says why one is not.

    `permissions` maps the name of a route to the roles that may use it.
    """

    def __init__(
        self,
        tokens: TokenChecker | None,
        development: Caller | None,
        rate: RateLimit,
        permissions: Mapping[str, tuple[Role, ...]] = PERMISSIONS,
    ) -> None:
        self._tokens = tokens
        self._development = development
        self._rate = rate
        self._permissions = permissions

    def admit(self, request: Request, route: str) -> Caller:
        """Return who sent the request. Raises Problem: 401, 403 or 429."""
        caller = self._identify(request)
        structlog.contextvars.bind_contextvars(
            tenant=caller.tenant, actor=caller.actor, **({"development": True} if caller.development else {})
        )
        # First, so that who may not ask can't ask for ever either.
        self._rate.count(caller.tenant, caller.actor)
        roles = self._permissions[route]
        if caller.role not in roles:
            raise Problem.of(
                "forbidden", f"This needs the role {' or '.join(roles)}; the token's is {caller.role}."
            )
        return caller

    def _identify(self, request: Request) -> Caller:
        given = request.headers.getlist("authorization")
        if not given and self._development is not None:
            if not is_local_name(request.headers.get("host")):
                raise Problem.of(
                    "not-authenticated",
                    "The development identity is for requests to this machine by a name such as localhost.",
                )
            return self._development
        if self._tokens is None or not given:
            raise _challenge("A bearer token is needed: Authorization: Bearer …", "")
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != _SCHEME:
            raise _challenge("One bearer token is needed: Authorization: Bearer …", "invalid_request")
        try:
            return self._tokens.check(token.strip())
        except InvalidToken as refusal:
            raise _challenge(str(refusal), "invalid_token") from None


def _challenge(detail: str, error: str) -> Problem:
    """Return the refusal with the header that RFC 6750 asks for."""
    header = 'Bearer realm="tillstream"' + (f', error="{error}"' if error else "")
    return Problem.of("not-authenticated", detail, headers={"WWW-Authenticate": header})
