"""docs/reference/eligibility.md is written from the shipped rules and the code, and is current."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.reference_pages import draw_table

from unlatch.domain.access import Assurance
from unlatch.domain.amount import GRAMS, MILLIMETRES
from unlatch.domain.eligibility import NOT_TOLD, ParcelLimits, Programme, Reason, VehicleRule
from unlatch.domain.eligibility_wording import reason_text
from unlatch.domain.wording import Language
from unlatch.flow.coverage import read_areas
from unlatch.flow.rule_files import COVERAGE, SHIPPED, load_files, read_rules

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "eligibility.md"
RENEW = "PYTHONPATH=src:. python -m tests.test_eligibility_page"
INTRODUCTION = """\
Which places may this parcel be put into? Each is offered, or not, with every reason. Asked in three places:

- `POST /v1/eligibility`: by anyone, without an account, of a car and an address. By the rules of 2018, or another
  programme that is named.
- `POST /v1/options`: by a carrier, of a consignee's places and one or several parcels, which go together. With the next
  windows of each place that is offered, and how well it can show that it is locked (`seen`, or only `said`).
- `POST /v1/stops`: booking asks once more, in its own transaction. What is not offered is not booked, nor what depends
  on something that was not told. The stop keeps the programme and the version of the rules.

Every rule is asked, and all that fail are listed. Bounds themselves are still taken: 50 lb is, 50.1 lb is not. Pounds
and inches are reckoned exactly. What was not told is a reason of its own, and if nothing else stands against a place,
the verdict is `depends`. Each answer bears the version of the rules: a digest of all their files.

Not asked, since it changes by the hour: where the car stands, whether it sleeps, what its owner has blocked. That is
for [the decision](decision.md) at the scan."""
PROGRAMMES = """\
Programmes stand side by side. Each carrier books by one: `open`, unless it was added with another (`unlatch carrier
add NAME --programme launch-2018`), and reads at `GET /v1/carrier` which. A carrier whose programme has gone from the
rules books nothing until it is back; it does not fall back to laxer rules.

`vehicles = "any"` takes whatever a connector reaches: make, model year and VIN are not asked, a subscription only
where it is known to be missing. A lock that can't be read is taken where the programme and the place both take it.
`open` has no limits for parcels. What a carrier declares to be dangerous or to need a signature it does not take;
silence is taken for a no, as a carrier that declares nothing is held to take such parcels out of its stream itself."""
WINDOWS = """\
A window is so many hours of one day by the clock on the wall at the address: 16:00 to 20:00 is so on days of 23, 24
and 25 hours. Its first second is inside, its last instant is not: at 20:00:00 it is over. Where clocks are put
forward, a window can't begin at a time that is left out: it is not offered, and refused; one that ends at such a time
ends at the jump. Where a time comes twice, it begins and ends the first time. A window of a programme with set times
may be booked shorter, not longer. Where it may begin at any time, its length is by the clock on the wall or by a
stop-watch, whichever is longer."""
EDITING = """\
The rules are files: `programmes/*.toml`, `vehicles.toml`, `coverage/*.geojson`. A programme's file name is its name,
and `programmes/open.toml` must be there. Copy the shipped folder (`data/` of the installed package), edit the copy,
and name it with `UNLATCH_RULES_DIR`. A server takes an edit up within seconds, without a restart. One that can't be
used changes nothing: the rules of before stay in force, the log names file, line or path, field and remedy, and so
does `GET /v1/operator/rules` as long as it lasts. A server does not start with rules that it can't use.

Operators edit the same files on the console (`/console/rules`): an edit is checked, tried on the places that there are,
and taken into use with a reason. The areas of a coverage stand on a map there: one is drawn by its corners, or taken
away by a click on it; the text below is what counts, and may be written by hand."""
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


def _limits(limits: ParcelLimits) -> list[str]:
    weight, sides, cents = limits.max_weight_g, limits.max_sides_mm, limits.max_value_cents
    inches = " x ".join(f"{Decimal(side) / MILLIMETRES['in']:f}" for side in sides or ())
    return [
        "any" if weight is None else f"at most {Decimal(weight) / GRAMS['lb']:f} lb ({weight} g)",
        "any" if sides is None else f"at most {inches} in, in any orientation",
        "any" if cents is None else f"at most {cents / 100:,.2f} {limits.currency}",
        "taken" if limits.takes_signature else "not taken",
        "taken" if limits.takes_other_sellers else "not taken",
        "taken" if limits.takes_dangerous_goods else "not taken",
        "taken for a no" if limits.takes_undeclared else "makes it depend",
    ]


# What stands in the columns of the programmes, in the order of `_rules_of`.
RULES = (
    "one of the plans", "countries", "areas", "places", "vehicles", "window, at most", "windows begin at",
    "range of a place, at most", "closures whose lock can't be read (our own rule)",
    "doors of homes can show that they are locked (our own rule)", "morning's notice (our own rule)",
    "looked at beforehand (our own rule)", "reads of a car a day (our own rule)",
    "clips of homes are kept (our own rule)", "photos that the courier has to take", "parcel: weight", "parcel: sides",
    "parcel: value", "parcel: to be signed for", "parcel: sold by others than the merchant",
    "parcel: dangerous goods (our own rule)", "parcel: silence about these three (our own rule)",
)  # fmt: skip


def _rules_of(programme: Programme) -> list[str]:
    before = " and ".join(f"{ahead_s / 60:g}" for ahead_s in programme.preflight_before_s)
    return [
        ", ".join(sorted(programme.plans)) or "anyone",
        ", ".join(sorted(programme.countries)) or "any",
        "everywhere"
        if programme.areas is None
        else ", ".join(f"`{name}`" for name in sorted(programme.areas)),
        ", ".join(sorted(programme.places)),
        "any that a connector reaches" if programme.takes_any_vehicle else "those listed below",
        f"{programme.window_s / 3600:g} h",
        ", ".join(f"{begins:%H:%M}" for begins in programme.windows) or "any time",
        f"{programme.range_m:g} m from the address",
        "are taken if the place takes them" if programme.takes_unseen_lock else "are not taken",
        ", ".join(f"`{one}`" for one in Assurance if one in programme.home_locks),
        f"{programme.morning_at:%H:%M}",
        f"{before} min ahead",
        f"{programme.reads_a_day}",
        "as `UNLATCH_CLIP_DAYS` says" if programme.clip_days is None else f"{programme.clip_days} days",
        programme.photos.replace("_", " "),
        *_limits(programme.parcel),
    ]


def _vehicle(rule: VehicleRule) -> tuple[str, str, str, str]:
    years = (
        f"{rule.from_year} or later" if rule.until_year is None else f"{rule.from_year} to {rule.until_year}"
    )
    return rule.make, years, rule.service, rule.connector or "none: can't be opened yet"


def render_page() -> str:
    rules = read_rules(load_files(SHIPPED), frozenset({"onstar", "volvo"}))
    areas = [area for area, _ in read_areas((SHIPPED / COVERAGE / "launch-2018.geojson").read_bytes())]
    confirmed = [area for area in areas if area.is_confirmed]
    assumed = ", ".join(area.name for area in areas if not area.is_confirmed)
    columns = [_rules_of(programme) for _, programme in sorted(rules.programmes.items())]
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
        "## The programmes",
        PROGRAMMES,
        draw_table(
            ("what", *(f"`{name}`" for name in sorted(rules.programmes))),
            [*zip(RULES, *columns, strict=True)],
        ),
        "The hours at which the windows of `launch-2018` begin are an assumption: no source was found that gives them.",
        "## Windows",
        WINDOWS,
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
