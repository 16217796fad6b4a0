"""Erasure of a person: the word on /me/data, and the receipt, which anyone opens who has its link.

The form is sent to the receipt's own address. So a browser that lost the answer stands at the receipt already: loaded
again, or sent again, it shows it.
"""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.datastructures import Cookie

from unlatch.errors import BadInput
from unlatch.web.api import erasure
from unlatch.web.api.erasure import ErasureBody, receipt_path
from unlatch.web.pages.consignee import CONSIGNEE, read_body
from unlatch.web.pages.page import Page, Seen, go_to, render
from unlatch.web.signing_in import COOKIES


async def erase(seen: Seen) -> Response[Any]:
    """From here on they are nobody here: on to the receipt, whose address they were shown before."""
    seen.require_step_up()
    seen.require_settled()
    if seen.form.get("sure") != "yes":
        raise BadInput("sure", seen.say("say that you are sure: it can't be undone"))
    fields = {"receipt": seen.path["token"][:80], "sends_deliveries_away": seen.form.get("away") == "yes"}
    body = read_body(ErasureBody, fields)
    asked = await seen.ask_in_transaction(erasure.erase_me, body=body)
    response = go_to(receipt_path(asked.receipt))
    response.cookies.append(
        Cookie(key=COOKIES["consignee"], value="", path="/", max_age=0, httponly=True, samesite="lax")
    )
    return response


async def show_receipt(seen: Seen) -> Response[Any]:
    """What was erased when, what is held until when. It names nobody."""
    receipt = await seen.ask(erasure.read_receipt, receipt=seen.path["token"][:80])
    address = f"{seen.platform.settings.public_url}{seen.request.scope['path']}"
    return render(
        seen,
        "erased.html",
        receipt=receipt,
        address=address,
        headers={"referrer-policy": "no-referrer", "x-robots-tag": "noindex"},
    )


PAGES = (
    Page(method="POST", path="/erased/{token}", show=erase, readers=CONSIGNEE, show_outside=show_receipt),
    Page(method="GET", path="/erased/{token}", show=show_receipt),
)
