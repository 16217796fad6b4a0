"""docs/reference/eligibility.md is written from the shipped rules and the code, and is current."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.reference_pages import draw_table

from unlatch.domain.amount import GRAMS, MILLIMETRES
from unlatch.domain.eligibility import NOT_TOLD, ParcelLimits, Reason, VehicleRule
from unlatch.domain.eligibility_wording import reason_text
from unlatch.domain.wording import Language
from unlatch.flow.coverage import read_areas
from unlatch.flow.rule_files import COVERAGE, SHIPPED, load_files, read_rules

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "eligibility.md"
RENEW = "PYTHONPATH=src:. python -m tests.test_eligibility_page"
INTRODUCTION = """\
Which places may this parcel be put into? Each is offered, or not, with every reason. Asked at `POST /v1/eligibility` by
anyone, without an account, of a car and an address. Booking does not ask it yet.

Every rule is asked, and all that fail are listed. Bounds themselves are still taken: 50 lb is, 50.1 lb is not. Pounds
and inches are reckoned exactly. What was not told is a reason of its own, and if nothing else stands against a place,
the verdict is `depends`. Each answer bears the version of the rules: the programme's name and a digest of the files.

Not asked, since it changes by the hour: where the car stands, whether it sleeps, what its owner has blocked. That is
for [the decision](decision.md) at the scan."""
EDITING = """\
The rules are files: `programme.toml`, `vehicles.toml`, `coverage/*.geojson`. Copy the shipped folder (`data/` of the
installed package), edit the copy, and name it with `UNLATCH_RULES_DIR`. A server takes an edit up within seconds,
without a restart. One that can't be used changes nothing: the rules of before stay in force, the log names file, line
or path, field and remedy, and so does `GET /v1/operator/rules` as long as it lasts. A server does not start with rules
that it can't use."""
ASSUMED = """\
The first model years of Honda and Acura, and the names of the later makes' services, are assumptions: no source was
found that gives them."""
READING = """\
A VIN (17 characters) is read with `vininfo`. Its check digit is asked for in North America alone, where it binds. Its
maker contradicts the claimed make where both are known and differ; a code that several makes of a group share
contradicts none. The year's letter comes again every 30 years: in North America the seventh place tells which turn it
is; elsewhere both stay possible, and where only one of them would do, the model year must be given. Up to 2039."""
COVERING = """\
An area's own edge belongs to it. Where areas meet or overlap, the first in the file wins. An area across the
antimeridian must be cut in two there (RFC 7946).

A postcode stands for the middle of its area (US ZIP codes, from the package `zipcodes`), so at a border the address may
lie on the other side: give a position where you have one. Elsewhere only a position will do.

The boundaries are those of the counties of each metro area, from the Census Bureau's file for maps of 1:10,000,000, and
are coarse. So that they cut off no address that lies inside, each area is widened by 2 km: an address just beyond the
border is taken too. The counties were listed by hand after the metro areas' delineation of 2015 to 2018
(`scripts/coverage.toml`). Tried against the counties that `zipcodes` names, 6,143 of 6,160 postcodes of these counties
lie in their area, 10 in the area next to it and 7 in none; of 23,633 others, 107 lie in one."""


def _limits(limits: ParcelLimits) -> list[tuple[str, str]]:
    sides = " x ".join(f"{Decimal(side) / MILLIMETRES['in']:f}" for side in limits.max_sides_mm or ())
    pounds = Decimal(limits.max_weight_g or 0) / GRAMS["lb"]
    return [
        ("weight", f"at most {pounds:f} lb ({limits.max_weight_g} g)"),
        ("sides", f"at most {sides} in, in any orientation"),
        ("value", f"at most {(limits.max_value_cents or 0) / 100:,.2f} {limits.currency}"),
        ("to be signed for", "taken" if limits.takes_signature else "not taken"),
        ("sold by others than the merchant", "taken" if limits.takes_other_sellers else "not taken"),
        ("dangerous goods (our own rule)", "taken" if limits.takes_dangerous_goods else "not taken"),
    ]


def _vehicle(rule: VehicleRule) -> tuple[str, str, str, str]:
    years = (
        f"{rule.from_year} or later" if rule.until_year is None else f"{rule.from_year} to {rule.until_year}"
    )
    return rule.make, years, rule.service, rule.connector or "none: can't be opened yet"


def render_page() -> str:
    rules = read_rules(load_files(SHIPPED), frozenset({"onstar", "volvo"}))
    programme = rules.programme
    areas = [area for area, _ in read_areas((SHIPPED / COVERAGE / "launch-2018.geojson").read_bytes())]
    confirmed = [area for area in areas if area.is_confirmed]
    assumed = ", ".join(area.name for area in areas if not area.is_confirmed)
    lock = "are taken" if programme.takes_unseen_lock else "are not taken"
    general = [
        ("one of the plans", ", ".join(sorted(programme.plans))),
        ("countries", ", ".join(sorted(programme.countries))),
        ("places", ", ".join(sorted(programme.places))),
        ("window", f"{programme.window_s / 3600:g} h"),
        ("range", f"{programme.range_m:g} m from the address"),
        ("closures whose lock can't be read (our own rule)", lock),
    ]
    reasons = [
        (
            f"`{reason}`",
            "yes" if reason in NOT_TOLD else "",
            *(reason_text(reason, each) for each in Language),
        )
        for reason in Reason
    ]
    parts = [
        "# Eligibility",
        f"<!-- Written by tests/test_eligibility_page.py. To renew it, run\n     {RENEW} -->",
        INTRODUCTION,
        f"## The programme `{programme.name}`",
        draw_table(
            ("what", "rule"),
            [*general, *((f"parcel: {what}", rule) for what, rule in _limits(programme.parcel))],
        ),
        "## Vehicles",
        draw_table(
            ("make", "model year", "connected service, subscribed to", "connector"),
            [_vehicle(rule) for rule in dict.fromkeys(rules.vehicles.values())],
        ),
        ASSUMED,
        READING,
        f"## The {len(areas)} areas",
        "The full list of 2018 was not found. *Confirmed* means that a source names the area.",
        draw_table(("confirmed", "by"), [(area.name, area.source.partition(";")[0]) for area in confirmed]),
        f"Assumptions, {len(areas) - len(confirmed)} of them: {assumed}.",
        COVERING,
        "## Every reason",
        draw_table(("reason", "only not told", "English", "français"), reasons),
        "## Edit the rules",
        EDITING,
    ]
    return "\n\n".join(parts) + "\n"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), f"stale: run {RENEW}"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
