"""Where the service is offered: areas as GeoJSON (RFC 7946), and in which of them a position lies.

An area's own edge belongs to it. Where two areas meet, or overlap, the one that stands first in the file wins. An
area across the antimeridian is cut in two there, as RFC 7946 (3.1.9) wants; a position at 180 degrees is looked up
on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
import shapely
from msgspec import Meta, Struct
from shapely.geometry import MultiPolygon, Polygon

from unlatch.domain.access import Position
from unlatch.domain.eligibility import Area

MAX_AREAS = 5_000  # of one file
MAX_POINTS = 500_000  # of one file
HALF_TURN = 180.0  # degrees

Number = Annotated[list[float], Meta(min_length=2, max_length=3)]
Ring = Annotated[list[Number], Meta(min_length=4)]
Rings = Annotated[list[Ring], Meta(min_length=1)]


class PolygonShape(Struct, tag_field="type", tag="Polygon"):
    """One polygon: its outer ring, then its holes."""

    coordinates: Rings


class MultiPolygonShape(Struct, tag_field="type", tag="MultiPolygon"):
    """Several polygons."""

    coordinates: Annotated[list[Rings], Meta(min_length=1)]


class AreaProperties(Struct):
    """What must be said of an area. Anything else that stands there is passed over."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")]
    is_confirmed: bool
    source: Annotated[str, Meta(min_length=1, max_length=400)]


class AreaShape(Struct):
    """One feature."""

    type: Literal["Feature"]
    properties: AreaProperties
    geometry: PolygonShape | MultiPolygonShape


class CoverageShape(Struct):
    """A file of areas."""

    type: Literal["FeatureCollection"]
    features: Annotated[list[AreaShape], Meta(max_length=MAX_AREAS)]


_DECODER = msgspec.json.Decoder(CoverageShape)


class AreaWrong(ValueError):
    """An area can't be used. `path` names the place in the file, the message the remedy."""

    def __init__(self, path: str, remedy: str) -> None:
        super().__init__(remedy)
        self.path = path


def read_areas(content: bytes, coverage: str = "") -> list[tuple[Area, MultiPolygon]]:
    """The areas of the file of this name. Raises AreaWrong, and msgspec's errors for what is no such file at all."""
    features = _DECODER.decode(content).features
    shapes = [
        each.geometry.coordinates
        if isinstance(each.geometry, MultiPolygonShape)
        else [each.geometry.coordinates]
        for each in features
    ]
    if sum(len(ring) for shape in shapes for rings in shape for ring in rings) > MAX_POINTS:
        raise AreaWrong(
            "features", f"the areas of a file may have {MAX_POINTS} points together: simplify them"
        )
    return [
        (
            _read_properties(each.properties, coverage),
            _read_shape(shape, f"features[{index}] ({each.properties.name})"),
        )
        for index, (each, shape) in enumerate(zip(features, shapes, strict=True))
    ]


def _read_properties(given: AreaProperties, coverage: str) -> Area:
    return Area(
        name=given.name,
        country=given.country,
        is_confirmed=given.is_confirmed,
        source=given.source,
        coverage=coverage,
    )


def _read_shape(polygons: list[list[list[list[float]]]], path: str) -> MultiPolygon:
    for rings in polygons:
        for ring in rings:
            _check_ring(ring, path)
    shape = MultiPolygon([Polygon(outer, holes) for outer, *holes in polygons])
    if not shape.is_valid:
        raise AreaWrong(f"{path}.geometry", f"mend the shape: {shapely.is_valid_reason(shape)}")
    return shape


def _check_ring(ring: list[list[float]], path: str) -> None:
    for point in ring:
        if not (abs(point[0]) <= HALF_TURN and abs(point[1]) <= HALF_TURN / 2):
            raise AreaWrong(f"{path}.geometry", f"{point} is no longitude and latitude, in this order")
    if ring[0] != ring[-1]:
        raise AreaWrong(f"{path}.geometry", "end each ring with the point with which it begins")
    if any(abs(one[0] - other[0]) > HALF_TURN for one, other in pairwise(ring)):
        raise AreaWrong(f"{path}.geometry", "cut the area in two at the antimeridian (RFC 7946, 3.1.9)")


class Coverage:
    """All areas, ready to be asked. Does not change."""

    def __init__(self, areas: Sequence[tuple[Area, MultiPolygon]]) -> None:
        self.areas = tuple(area for area, _ in areas)
        self._shapes = [shape for _, shape in areas]
        shapely.prepare(self._shapes)
        self._tree = shapely.STRtree(self._shapes)

    def find_area(self, position: Position, coverages: frozenset[str] | None = None, /) -> Area | None:
        """The first area, of these files, in which or on whose edge the position lies; microseconds."""
        longitudes = [position.longitude]
        if abs(position.longitude) == HALF_TURN:
            longitudes.append(-position.longitude)
        found = [
            int(index)
            for longitude in longitudes
            for index in self._tree.query(shapely.Point(longitude, position.latitude))
            if (coverages is None or self.areas[index].coverage in coverages)
            and shapely.intersects_xy(self._shapes[index], longitude, position.latitude)
        ]
        return self.areas[min(found)] if found else None
