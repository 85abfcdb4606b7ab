"""Leftovers of killed processes in folders without a lock."""

import os
import time
from pathlib import Path

from sapo_lite.support.leftovers import remove_old_leftovers


def test_leftovers_of_an_hour_ago_and_of_the_future_are_removed(tmp_path: Path) -> None:
    """The clock was ahead, and was set back."""
    for name, age in (
        (".new.json.1", 0),
        (".old.json.2", 7200),
        (".future.json.3", -7200),
        ("kept.json", 7200),
    ):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    remove_old_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new.json.1", "kept.json"]
