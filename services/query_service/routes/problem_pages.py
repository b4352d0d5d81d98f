"""The pages that a problem's `type` leads to."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from query_service.problems import KINDS, Problem

router = APIRouter()


@router.get("/problems/{slug}", include_in_schema=False)
async def problem_page(slug: str) -> PlainTextResponse:
    """Explain one kind of problem."""
    kind = KINDS.get(slug)
    if kind is None:
        raise Problem.of("not-found", "There is no such kind of problem.")
    return PlainTextResponse(f"{kind.title} ({kind.status})\n\n{kind.explanation}\n")
