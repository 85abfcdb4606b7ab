"""Golden runs: results are equal to the committed ones (golden_runs.py)."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from golden_runs import FOLDER, machine, programmes

# Other processors round otherwise: a sum moves a little, and at worst one or two of 12 answers.
LOSS, NORM, POINTS = 1e-3, 0.05, 17.0


def known(found: Any, expected: Any) -> Any:
    """The part of what was found that has the keys of what is expected: results may gain keys."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {key: known(found[key], expected[key]) for key in expected if key in found}
    return found


def alike(found: Any, expected: Any, place: str) -> None:
    """Equal up to what rounding may do on another processor."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for key in expected:
            if key not in ("sha256", "certainty", "p", "low", "high"):
                alike(found[key], expected[key], f"{place}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            alike(one, other, f"{place}/{number}")
    elif isinstance(expected, float):
        kind = place.split("/")[0]
        relative, absolute = {"losses": (LOSS, 0.0), "adapters": (NORM, 1e-6)}.get(kind, (0.0, POINTS))
        assert math.isclose(found, expected, rel_tol=relative, abs_tol=absolute), (place, found, expected)
    else:
        assert found == expected, place


@pytest.mark.slow
@pytest.mark.parametrize("name", programmes())
def test_a_small_run_finds_what_it_found_before(name: str, tmp_path: Path) -> None:
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    same_machine = expected.pop("machine") == machine()
    found = known(json.loads(json.dumps(programmes()[name](tmp_path / name))), expected)
    if "results" in expected:  # the version of the file says which keys it has
        expected["results"].pop("schema_version")
        found["results"].pop("schema_version")
    if same_machine:
        assert found == expected
    else:
        for part in expected:
            alike(found[part], expected[part], part)
