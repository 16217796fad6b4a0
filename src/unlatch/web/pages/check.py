"""Would it work for my car, where I live? For anyone, without an account; nothing of it is kept."""

from __future__ import annotations

from typing import Any

from litestar import Response

from unlatch.web.api import eligibility
from unlatch.web.api.eligibility import EligibilityRequest, EligibilityShown
from unlatch.web.pages.consignee import read_body
from unlatch.web.pages.page import Page, Seen, render
from unlatch.web.pages.refusals import said
from unlatch.web.problems import ProblemError

MOST_CHARACTERS = 60
YES_OR_NO = {"yes": True, "no": False}


async def show_check(seen: Seen) -> Response[Any]:
    """The question, and the answer to it where one was asked: a wrong value is named beside the form."""
    asked = {
        name: value.strip()[:MOST_CHARACTERS]
        for name in ("postcode", "make", "model_year", "service", "plan")
        if (value := seen.request.query_params.get(name, ""))
    }
    answer: EligibilityShown | None = None
    wrong = ""
    if asked:
        try:
            answer = await _answer(seen, asked)
        except ProblemError as problem:
            wrong = said(seen.speech, problem.detail or str(problem))
    rules = await seen.platform.rules.get()
    return render(
        seen,
        "check.html",
        status=400 if wrong else 200,
        asked=asked,
        answer=answer,
        wrong=wrong,
        makes=sorted({rule.make for rule in rules.vehicles.values()}),
        plans=[
            (plan, plan.replace("_", " ").capitalize())
            for plan in sorted({plan for one in rules.programmes.values() for plan in one.plans})
        ],
    )


async def _answer(seen: Seen, asked: dict[str, str]) -> EligibilityShown:
    vehicle: dict[str, Any] = {name: asked[name] for name in ("make", "model_year") if name in asked}
    if asked.get("service") in YES_OR_NO:
        vehicle["has_service"] = YES_OR_NO[asked["service"]]
    given = {name: asked.get(name) for name in ("postcode", "plan")}
    body = read_body(EligibilityRequest, {**given, "vehicle": vehicle})
    answer: EligibilityShown = await seen.ask(eligibility.check, body=body)
    return answer


PAGES = (Page(method="GET", path="/check", show=show_check),)
