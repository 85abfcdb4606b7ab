"""A run on a disk that is too small is told so before it fills it."""

from pathlib import Path

from sapo_lite.recipe import load_recipe
from sapo_lite.run.room import notice_of_room, run_folder_bytes
from sapo_lite.support.disk import free_bytes


def test_what_is_missing_is_compared_with_what_is_free(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)
    assert free is not None
    assert notice_of_room(tmp_path, free // 2) is None
    notice = notice_of_room(tmp_path, free + 10**12)
    assert notice is not None
    assert f"{tmp_path}: this run will write about " in notice


def test_what_is_written_is_no_longer_needed(tmp_path: Path) -> None:
    (tmp_path / "01-mood").mkdir()
    (tmp_path / "01-mood/adapter").write_bytes(b"x" * 2000)
    assert notice_of_room(tmp_path, 2000) is None


def test_a_folder_has_an_adapter_for_each_stage_two_checkpoints_and_the_answers() -> None:
    recipe = load_recipe("lab", ["training.checkpoint_every=0"])
    assert run_folder_bytes(recipe, 1000, tasks=3, answers=10) == 3 * 4000 + 10 * 600
    recipe = load_recipe("lab", ["training.checkpoint_every=5"])  # weights and Adam's two moments, twice
    assert run_folder_bytes(recipe, 1000, tasks=3, answers=10) == (3 + 2 * 3) * 4000 + 10 * 600
