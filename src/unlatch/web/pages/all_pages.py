"""Every page of the three apps: one table for each folder."""

from __future__ import annotations

from collections.abc import Sequence

from unlatch.web.pages import (
    check,
    consignee,
    consignee_cameras,
    consignee_data,
    consignee_erasure,
    consignee_homes,
    consignee_notices,
    consignee_places,
    consignee_push,
    console,
    console_audit,
    console_freezes,
    console_rules,
    courier,
    entrance,
)
from unlatch.web.pages.page import Page


def list_pages() -> Sequence[Page]:
    """All of them."""
    return [
        *entrance.PAGES, *courier.PAGES, *consignee.PAGES, *consignee_places.PAGES, *consignee_notices.PAGES,
        *console.PAGES, *console_audit.PAGES, *console_freezes.PAGES, *console_rules.PAGES,
        *check.PAGES, *consignee_data.PAGES, *consignee_erasure.PAGES, *consignee_homes.PAGES,
        *consignee_cameras.PAGES, *consignee_push.PAGES,
    ]  # fmt: skip
