"""Set-up: the units of UCUM as one small table, from the library of the US National Library of Medicine.

Only its table of definitions is taken; expressions of units are read by `ucum.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SOURCE = Path("@lhncbc") / "ucum-lhc" / "data" / "ucumDefs.min.json"
_SHIFTED = {"Cel": 273.15, "[degF]": 459.67}
"""Units with a zero of their own: what is added before the magnitude is taken."""


def build(modules: Path, target: Path) -> None:
    """Write units.json: {"prefixes": {code: factor}, "units": {code: [magnitude, dimension, metric, offset]}}.

    Units of logarithms and the like, which no factor converts, have no magnitude. Raises FileNotFoundError.
    """
    found = json.loads((modules / SOURCE).read_text(encoding="utf-8"))
    prefixes = {row[0]: float(row[4]) for row in found["prefixes"]["data"]}
    names = [name if isinstance(name, str) else name[0] for name in found["units"]["config"]]
    units: dict[str, Any] = {}
    for row in found["units"]["data"]:
        unit = dict(zip(names, row, strict=True))
        code = unit["csCode_"]
        if unit["source_"] != "UCUM" and code in units:
            continue
        vector = list(unit["dim_"] or ()) if isinstance(unit["dim_"], list) else [0] * 7
        vector = [*vector, *[0] * (7 - len(vector)), unit["moleExp_"] or 0, unit["equivalentExp_"] or 0]
        dimension: Any = vector if not unit["isArbitrary_"] else [*vector, code]
        special = unit["isSpecial_"] and code not in _SHIFTED
        magnitude = None if special else unit["magnitude_"]
        if code == "[degF]":
            magnitude = 5 / 9
        units[code] = [magnitude, dimension, bool(unit["isMetric_"]), _SHIFTED.get(code, 0.0)]
    (target / "units.json").write_text(json.dumps({"prefixes": prefixes, "units": units}, separators=(",", ":")))
