"""The launch areas as GeoJSON: each the union of its counties. See `scripts/coverage`."""

from __future__ import annotations

import json
import sys
import tomllib
from math import cos, radians
from pathlib import Path
from typing import Any

import shapely
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon

COUNTIES = Path(__file__).parent / "coverage.toml"
DECIMALS = 5  # about a metre
GRID = 10**-DECIMALS
WIDENED_M = 2_000
METRES_A_DEGREE = 111_320  # of latitude
SIMPLIFIED_M = 200
RING_POINTS = 4  # what the Census file has shrunk to less than a triangle is left out
BOUNDARIES = "us-atlas 3.0.1: cartographic boundary file of the US Census Bureau, 1:10,000,000"
NAMED_FOR = {
    "car": "named by a source for the car service of 2018",
    "home": "named by a source for the home service of the same 37 areas",
    None: "assumption: the full list of 2018 was not found",
}

Point = tuple[float, float]


def read_arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """The arcs in degrees; TopoJSON stores each point as whole steps from the one before."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for steps in topology["arcs"]:
        x = y = 0
        arc = []
        for step_x, step_y in steps:
            x, y = x + step_x, y + step_y
            arc.append((x * scale_x + move_x, y * scale_y + move_y))
        arcs.append(arc)
    return arcs


def join(arcs: list[list[Point]], indexes: list[int]) -> list[Point]:
    """A ring out of its arcs; one whose index is negative runs backwards."""
    ring: list[Point] = []
    for index in indexes:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        ring += arc[1:] if ring else arc
    return ring


def read_county(arcs: list[list[Point]], geometry: dict[str, Any]) -> MultiPolygon:
    """A county's shape."""
    parts = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
    rings = [[ring for each in part if len(ring := join(arcs, each)) >= RING_POINTS] for part in parts]
    return MultiPolygon([Polygon(outer, holes) for outer, *holes in (part for part in rings if part)])


def widen(shape: MultiPolygon) -> MultiPolygon | Polygon:
    """The shape and all within WIDENED_M of it, so that a coarse boundary cuts off no address that lies inside."""
    middle = shape.centroid.y
    flat = affinity.scale(shape, xfact=cos(radians(middle)), yfact=1, origin=(0, 0))
    wide = flat.buffer(WIDENED_M / METRES_A_DEGREE).simplify(SIMPLIFIED_M / METRES_A_DEGREE)
    round_again = affinity.scale(wide, xfact=1 / cos(radians(middle)), yfact=1, origin=(0, 0))
    return shapely.set_precision(round_again, GRID)


def write_rings(polygon: Polygon) -> list[list[list[float]]]:
    """The rings as RFC 7946 wants them: outer ones counter-clockwise."""
    oriented = shapely.orient_polygons(polygon)
    return [
        [[round(x, DECIMALS), round(y, DECIMALS)] for x, y in ring.coords]
        for ring in (oriented.exterior, *oriented.interiors)
    ]


def write_feature(area: dict[str, Any], counties: dict[str, MultiPolygon]) -> dict[str, Any]:
    """One area."""
    # The file's coordinates stand on a coarse grid, on which a few borders touch themselves: make_valid parts them.
    union = shapely.union_all(
        [shapely.make_valid(counties[code]) for code in area["counties"]], grid_size=GRID
    )
    parts = [part for part in shapely.get_parts(widen(union)) if isinstance(part, Polygon)]
    named_for = area.get("named_for")
    return {
        "type": "Feature",
        "properties": {
            "name": area["name"],
            "country": "US",
            "is_confirmed": named_for is not None,
            "source": f"{NAMED_FOR[named_for]}; boundary: the counties of metro area {area['cbsa']}, {BOUNDARIES}, "
            f"widened by {WIDENED_M} m",
            "counties": area["counties"],
        },
        "geometry": {"type": "MultiPolygon", "coordinates": [write_rings(part) for part in parts]},
    }


def main() -> None:
    """Read the counties' file, write the areas' one, an area a line."""
    source, target = (Path(word) for word in sys.argv[1:])
    topology = json.loads(source.read_text(encoding="utf-8"))
    arcs = read_arcs(topology)
    counties = {each["id"]: read_county(arcs, each) for each in topology["objects"]["counties"]["geometries"]}
    areas = tomllib.loads(COUNTIES.read_text(encoding="utf-8"))["area"]
    features = [write_feature(area, counties) for area in sorted(areas, key=lambda one: str(one["name"]))]
    lines = ",\n".join(json.dumps(feature, separators=(",", ":")) for feature in features)
    target.write_text(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n', encoding="utf-8")
    points = sum(len(ring) for each in features for part in each["geometry"]["coordinates"] for ring in part)
    print(f"{len(features)} areas, {points} points, {target.stat().st_size} bytes: {target}")


if __name__ == "__main__":
    main()
