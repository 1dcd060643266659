"""`near` of a Location: how far a place is from a point, over the indexed position. Pure; SQL is made, not run.

A position is one row of `index_quantity`: latitude as `low`, longitude as `high`. The index finds the box around the
circle; the distance on the sphere decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from varde.fhir.errors import BadRequest
from varde.fhir.gate import Parameters
from varde.fhir.ucum import unit

EARTH = 6_371_008.8
"""Mean radius of the Earth in metres."""
NEAR_BY = 10.0
"""Kilometres meant when no distance is said (R4 leaves it to the server)."""


def test(parameters: Parameters, index: str, parts: Sequence[str]) -> str:
    """Whether a row is within the distance of the point in `latitude|longitude|distance|unit`. Raises BadRequest."""
    if not 2 <= len(parts) <= 4:
        raise BadRequest.of("near is written latitude|longitude|distance|unit")
    latitude, longitude = _number(parts[0], 90.0), _number(parts[1], 180.0)
    said = parts[2] if len(parts) > 2 and parts[2] else ""
    named = unit(parts[3] if len(parts) == 4 and parts[3] and said else "km")
    metre = unit("m")
    if named is None or metre is None or named.dimension != metre.dimension or named.offset:
        raise BadRequest.of("the unit of near is a length of UCUM: km, m, [mi_i], [nmi_i] …")
    distance = (_number(said, math.inf) if said else NEAR_BY) * (named.factor if said else 1000.0)
    if distance < 0:
        raise BadRequest.of("a distance is 0 or more")
    add = parameters.add
    span = math.degrees(distance / EARTH)
    low, high = f"{index}.low", f"{index}.high"
    box = f"{low} >= {add(latitude - span - 1e-9)}::float8 and {low} <= {add(latitude + span + 1e-9)}::float8"
    a, b, r = f"{add(latitude)}::float8", f"{add(longitude)}::float8", f"{add(distance)}::float8"
    haversine = (
        f"2 * {EARTH} * asin(least(1, sqrt(sin(radians({low} - {a}) / 2) ^ 2"
        f" + cos(radians({a})) * cos(radians({low})) * sin(radians({high} - {b}) / 2) ^ 2)))"
    )
    return f"({box} and {haversine} <= {r})"


def _number(text: str, most: float) -> float:
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and abs(number) <= most):
        raise BadRequest.of("near takes decimal degrees and a distance")
    return number
