"""The grid of a recipe before it runs: cells, pieces to copy, folders, work."""

import gc
import os
import re
import shlex
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from forked import run_program
from kept import put, value_of
from made_runs import made_run, two_tasks
from sapo_lite.compare import grid as grids
from sapo_lite.compare.execution import check, number_format
from sapo_lite.compare.executors.do_all import do_all
from sapo_lite.compare.executors.local import LocalWorkers
from sapo_lite.compare.executors.place import Place
from sapo_lite.compare.folders import CellFolder, check_folder, comparison_folder, find_folders, load_tasks
from sapo_lite.compare.grid import Cell, Grid, make_grid
from sapo_lite.compare.plan import make_plan
from sapo_lite.compare.reuse import copy_pieces, pieces, sources_of
from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RecipeError, RunFolderError, SapoLiteError, WorkerError
from sapo_lite.recipe import Recipe, load_recipe
from sapo_lite.recipe.seeds import seeds_of
from sapo_lite.run.binding import Binding, write_binding
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.run.workplan import Amount, Work, plan_of
from small import SETTINGS, command


def small_grid(*settings: str, seeds: str = "2", **options: Any) -> Grid:
    lists = {"strategies": "fixed,sapo", "adapters": "lorainc,olora"} | options
    return make_grid("lab", [*SETTINGS, *settings], seeds=seeds, **lists)


# --- cells


def test_a_grid_is_all_strategies_on_all_adapters_seed_by_seed() -> None:
    cells = [cell.name for cell in small_grid().recipes]
    of_a_seed = ["fixed-lorainc", "sapo-lorainc", "fixed-olora", "sapo-olora"]
    assert cells == [f"{name}-{seed}" for seed in (0, 1) for name in of_a_seed]


def test_nothing_is_trained_on_zero_so_it_comes_once_a_seed() -> None:
    cells = small_grid(adapters="zero,lorainc").recipes
    assert [cell.name for cell in cells if cell.seed == 1] == [
        "fixed-lorainc-1",
        "sapo-lorainc-1",
        "fixed-zero-1",
    ]


def test_settings_that_fit_the_named_strategy_alone_are_taken() -> None:
    grid = small_grid("prompt.sampling=importance", strategies="paft")
    assert {recipe.prompt.sampling for recipe in grid.recipes.values()} == {"importance"}


def test_a_cell_is_the_run_of_its_command() -> None:
    for draw in (False, True):
        grid = small_grid(draw=draw)
        for cell, recipe in grid.recipes.items():
            words = shlex.split(grid.command(cell, Path("some where")))
            assert words[:3] + words[-2:] == ["sapo-lite", "run", "lab", "--data", "some where"]
            repeated = load_recipe(words[2], words[4:-2:2])
            assert repeated.resolved() == recipe.resolved()
            assert (repeated.seed, repeated.prompt.strategy, repeated.adapter.method) == (
                (cell.seed, cell.strategy, cell.adapter)
            )


def test_seeds_change_the_seed_alone_unless_they_draw() -> None:
    settled, drawn = small_grid(seeds="6"), small_grid(seeds="6", draw=True)
    assert {recipe.sequence.draw for recipe in settled.recipes.values()} == {None}
    assert len({recipe.sequence.tasks for recipe in settled.recipes.values()}) == 1
    assert {(cell.seed, r.sequence.draw) for cell, r in drawn.recipes.items()} == {(s, s) for s in range(6)}
    orders = {cell.seed: recipe.sequence.tasks for cell, recipe in drawn.recipes.items()}
    assert len(set(orders.values())) == 2


def test_seeds_are_numbers_or_as_on_the_command_line() -> None:
    for seeds in ((7, 3), "7,3"):
        grid = make_grid("lab", SETTINGS, strategies="fixed", adapters=None, seeds=seeds)
        assert [cell.seed for cell in grid.recipes] == [7, 3]


def test_all_cells_hold_out_as_many_paraphrases_as_the_keenest_strategy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_defaults(spec: str, overrides: Collection[str] = ()) -> Recipe:
        varies = "prompt.strategy=paft" in overrides
        named = any(setting.startswith("paraphrase.held_out=") for setting in overrides)
        return load_recipe(spec, [*overrides, *(["paraphrase.held_out=2"] if varies and not named else [])])

    monkeypatch.setattr(grids, "load_recipe", with_defaults)
    grid = small_grid(strategies="fixed,sapo,paft")
    assert {recipe.paraphrase.held_out for recipe in grid.recipes.values()} == {2}
    assert all(recipe.wants_candidates for recipe in grid.recipes.values())
    assert "paraphrase.held_out=2" in grid.command(Cell("fixed", "olora", 1))
    named = small_grid("paraphrase.held_out=1", strategies="fixed,paft")
    assert {recipe.paraphrase.held_out for recipe in named.recipes.values()} == {1}


def test_without_adapters_the_recipes_own_is_taken() -> None:
    assert small_grid("adapter.rank=4", adapters=None).adapters == ("lorainc",)


def test_seeds_are_a_number_or_a_list() -> None:
    assert seeds_of("3") == (0, 1, 2)
    assert seeds_of("0-2,7") == (0, 1, 2, 7)
    assert seeds_of("7-7") == (7,)
    for text in ("0", "4-2"):
        with pytest.raises(RecipeError, match=rf"--seeds: expected at least 1 seed, found '{text}'"):
            seeds_of(text)
    with pytest.raises(RecipeError, match="--seeds: expected seeds such as 0-9 or 0,3,7, found 'five'"):
        seeds_of("five")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"strategies": "fixed,spao"},
            '--strategies: expected "fixed", "sapo", .*, found "spao"; did you mean "sapo"?',
        ),
        (
            {"adapters": "LoRAInc"},
            '--adapters: expected "lorainc", .*, found "LoRAInc"; did you mean "lorainc"?',
        ),
        ({"strategies": "sapo,sapo"}, '--strategies: expected different names, found "sapo" twice'),
        ({"strategies": ""}, '--strategies: expected .*, found ""'),
    ],
)
def test_names_that_there_are_not_are_refused_with_the_nearest(options: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        small_grid(**options)


def test_settings_that_cells_have_of_their_own_are_refused() -> None:
    for setting, option in (
        ("seed=3", "seeds"),
        ("prompt.strategy=sapo", "strategies"),
        ("adapter.method=zero", "adapters"),
    ):
        with pytest.raises(RecipeError, match=f"--set {setting}: .* all cells share; use --{option}"):
            small_grid(setting)
    with pytest.raises(RecipeError, match=r"--set sequence.draw=3: .* use --draw"):
        small_grid("sequence.draw=3", draw=True)
    assert small_grid("sequence.draw=3").settings["sequence.draw"] == 3


def test_faults_of_the_settings_are_those_of_a_recipe() -> None:
    with pytest.raises(RecipeError, match=r"training.epochs: expected a whole number of at least 1, found 0"):
        small_grid("training.epochs=0")


def test_a_comparison_is_named_by_what_its_cells_share() -> None:
    grid = small_grid()
    same = small_grid(seeds="5-6", strategies="worst", adapters="sequential")
    assert grid.digest == same.digest
    others = [small_grid("training.epochs=9"), small_grid(draw=True), small_grid("sequence.tasks=['oldest']")]
    assert len({grid.digest, *(other.digest for other in others)}) == 4


# --- what is shared


def copied(grid: Grid, name: str) -> dict[str, str]:
    """For the cell of this name: by piece, the cell that it is copied from."""
    found = sources_of({cell: recipe.resolved() for cell, recipe in grid.recipes.items()})
    (own,) = (pieces for cell, pieces in found.items() if cell.name == name)
    return {piece: source.name for piece, source in own.items()}


def test_cells_that_paraphrase_share_their_candidates_and_zero_shot_scores_with_a_seed() -> None:
    grid = small_grid(strategies="fixed,sapo,random", adapters="lorainc,sequential")
    assert copied(grid, "fixed-lorainc-0") == {}
    both = {"candidates": "fixed-lorainc-0", "zero-shot": "fixed-lorainc-0"}  # fixed makes them to fit inputs
    assert copied(grid, "sapo-lorainc-0") == copied(grid, "random-lorainc-0") == both
    assert copied(grid, "sapo-sequential-0") == {**both, "losses": "sapo-lorainc-0"}
    assert copied(grid, "fixed-lorainc-1") == {}  # another seed has other candidates


def test_without_candidates_or_with_a_file_of_them_seeds_share_zero_shot_scores() -> None:
    fixed = small_grid(strategies="fixed")
    assert copied(fixed, "fixed-lorainc-1") == {"zero-shot": "fixed-lorainc-0"}
    file = small_grid("paraphrase.backend=file", "paraphrase.path=x.json")
    assert copied(file, "sapo-lorainc-1")["zero-shot"] == "fixed-lorainc-0"
    assert "zero-shot" not in copied(small_grid(draw=True, seeds="0,1"), "fixed-lorainc-1")


def test_losses_are_shared_where_all_are_full_and_not_with_a_race() -> None:
    raced = small_grid(strategies="sapo,worst")
    assert "losses" not in copied(raced, "worst-lorainc-0")
    full = small_grid("scoring.race=false", strategies="sapo,worst")
    assert copied(full, "worst-lorainc-0")["losses"] == "sapo-lorainc-0"


def test_first_stages_are_shared_between_methods_that_are_alike_without_a_past() -> None:
    grid = small_grid(strategies="fixed,sapo", adapters="lorainc,olora,sequential,joint")
    assert copied(grid, "sapo-olora-0")["first stage"] == "sapo-lorainc-0"
    for adapter in ("sequential", "joint"):
        assert "first stage" not in copied(grid, f"sapo-{adapter}-0")
    assert "losses" not in copied(grid, "sapo-joint-0")  # it scores all tasks


def test_a_first_stage_depends_on_the_settings_that_its_method_reads_alone() -> None:
    def first_stage(method: str, setting: str) -> str:
        recipe = load_recipe("lab", [*SETTINGS, f"adapter.method={method}", setting])
        return pieces(recipe.resolved())["first stage"]

    weights = ("adapter.penalty_weight=0.1", "adapter.penalty_weight=0.2")
    assert len({first_stage(method, w) for method in ("olora", "lorainc") for w in weights}) == 1
    assert len({first_stage("ewc", weight) for weight in weights}) == 2
    assert first_stage("lorainc", "adapter.rank=4") != first_stage("lorainc", "adapter.rank=8")


def test_zero_copies_and_is_not_copied_from() -> None:
    # Inputs are cut to fit the longest candidate, so it has candidates where other cells have them.
    for strategies in ("sapo", "fixed,sapo"):
        grid = small_grid(strategies=strategies, adapters="lorainc,zero")
        first = strategies.partition(",")[0]
        assert copied(grid, f"{first}-zero-0") == {
            "candidates": f"{first}-lorainc-0",
            "zero-shot": f"{first}-lorainc-0",
        }
    fixed = small_grid(strategies="fixed", adapters="lorainc,zero")
    assert copied(fixed, "fixed-zero-0") == {"zero-shot": "fixed-lorainc-0"}
    alone = small_grid(adapters="zero")
    assert copied(alone, "fixed-zero-1") == {}


def stage(run: Path, name: str, *, finished: bool = False, **values: Any) -> None:
    folder = Stage(run / name)
    for value, content in values.items():
        folder.write(value, content)
    if finished:
        folder.finish(StageRecord({}, {}))


def contents(run: Path) -> dict[str, str]:
    files = {path for path in run.rglob("*") if path.is_file() and path.parent != run}
    return {path.relative_to(run).as_posix(): path.read_text() for path in files}


def begun(root: Path, name: str, *settings: str) -> Path:
    strategy, adapter = name.split("-")
    run = made_run(root / name, two_tasks(1.0), *settings, strategy=strategy, adapter=adapter)
    (run / "results.json").unlink()
    return run


def test_finished_pieces_are_copied_and_others_are_not(tmp_path: Path) -> None:
    source, path = begun(tmp_path, "sapo-lorainc"), begun(tmp_path, "sapo-olora")
    stage(source, "candidates", stars="a pool", mood="a pool")
    stage(source, "00-zero-shot", predictions=[0], finished=True)
    stage(source, "01-stars", losses=[1], rewrites={})  # not finished
    stage(source, "02-mood", predictions=[0], finished=True)
    copy_pieces(path, [source, path, tmp_path / "never begun"])
    pieces = ("candidates/", "00-zero-shot/", "01-stars/losses")
    assert contents(path) == {k: v for k, v in contents(source).items() if k.startswith(pieces)}
    stage(source, "01-stars", finished=True)
    shutil.rmtree(path / "01-stars")
    copy_pieces(path, [source])
    assert contents(path) == {k: v for k, v in contents(source).items() if not k.startswith("02")}


@pytest.mark.parametrize(
    ("file", "not_copied"),
    [
        ("candidates/stars.json", {"candidates", "00-zero-shot", "01-stars"}),  # all depend on them
        ("00-zero-shot/predictions.json", {"00-zero-shot"}),
        ("00-zero-shot/stage.json", {"00-zero-shot"}),
        ("01-stars/losses.json", {"01-stars"}),
    ],
)
def test_what_is_damaged_is_not_copied(tmp_path: Path, file: str, not_copied: set[str]) -> None:
    source, path = begun(tmp_path, "sapo-lorainc"), begun(tmp_path, "sapo-olora")
    stage(source, "candidates", stars="a pool")
    stage(source, "00-zero-shot", predictions=[0], finished=True)
    stage(source, "01-stars", losses=[1], finished=True)
    (source / file).write_text((source / file).read_text()[:-9])
    copy_pieces(path, [source])
    whole = {"candidates", "00-zero-shot", "01-stars"}
    assert {name.split("/")[0] for name in contents(path)} == whole - not_copied


def test_a_whole_stage_comes_before_losses_of_somebody_else(tmp_path: Path) -> None:
    scored, trained, path = (
        begun(tmp_path, f"{name}") for name in ("sapo-sequential", "sapo-lorainc", "sapo-olora")
    )
    stage(scored, "01-stars", losses=[1], finished=True)
    stage(trained, "01-stars", losses=[1], gradient=2.0, finished=True)
    copy_pieces(path, [scored, trained])
    assert contents(path) == contents(trained)


def test_nothing_is_copied_from_other_candidates_data_inputs_or_settings(tmp_path: Path) -> None:
    source, path = begun(tmp_path, "sapo-lorainc"), begun(tmp_path, "sapo-olora")
    stage(source, "candidates", stars="a pool")
    stage(source, "00-zero-shot", predictions=[0], finished=True)
    stage(path, "candidates", stars="another pool")
    before = contents(path)
    copy_pieces(path, [source])
    assert contents(path) == before
    for number, changed in enumerate(("training.epochs=9", "seed=1", "evaluation.max_new_tokens=3")):
        other = begun(tmp_path / str(number), "sapo-lorainc", changed)
        copy_pieces(other, [source])
        assert contents(other) == {}
    made_of = value_of(source / "recipe.json")
    new = begun(tmp_path / "new", "sapo-olora")
    for kind, what in (("data", {"mood": "another"}), ("inputs", {"the model lab": {"SHA256SUMS": "0"}})):
        put(source / "recipe.json", made_of | {kind: made_of[kind] | what})
        copy_pieces(new, [source])
        assert contents(new) == {}
    put(source / "recipe.json", made_of)
    copy_pieces(new, [source])
    assert contents(new) == contents(source)


# --- where cells are


def settle(
    grid: Grid,
    cell: Cell,
    folder: Path,
    *,
    finished: bool = True,
    name: str = "lab",
    dtype: str | None = None,
) -> None:
    """A folder of that cell's run, under a recipe of that name, in that number format."""
    recipe = grid.recipes[cell]
    data = data_fingerprint(load_sequence(recipe.sequence))
    folder.mkdir(parents=True)
    resolved = {**recipe.resolved(), "name": name}
    write_binding(folder, Binding(recipe=resolved, data=data, inputs=inputs_of(recipe)))
    if dtype:
        with RunFolder(folder) as run:
            run.bind(resolved, data, {'what model.dtype = "auto" chose': {"number format": dtype}})
    if finished:
        (folder / "results.json").write_text("{}")


def test_cells_are_found_finished_begun_or_elsewhere(tmp_path: Path) -> None:
    grid, out = small_grid(), tmp_path / "here"
    finished, unfinished, elsewhere, inside, *rest = grid.recipes
    settle(grid, finished, out / finished.name)
    settle(grid, unfinished, out / unfinished.name, finished=False)
    settle(grid, elsewhere, tmp_path / "lab-20260101-000000", name="a copy of lab")
    settle(grid, inside, tmp_path / "other comparison" / "a run")
    settle(grid, rest[0], tmp_path / "unfinished run", finished=False)
    (tmp_path / "damaged").mkdir()
    for name in ("recipe.json", "results.json"):
        (tmp_path / "damaged" / name).write_text("{")
    folders = find_folders(grid, load_tasks(grid, None), out)
    assert [(folder.path, folder.state) for folder in folders.values()][:5] == [
        (out / finished.name, "finished"),
        (out / unfinished.name, "begun"),
        (tmp_path / "lab-20260101-000000", "finished"),
        (tmp_path / "other comparison" / "a run", "finished"),
        (out / rest[0].name, "new"),
    ]


def test_a_finished_run_is_reused_while_its_file_of_candidates_is_the_same(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.json", tmp_path / "out"
    file.write_text('{"oldest": ["Who?"]}')
    options = {"strategies": "sapo", "adapters": "lorainc", "seeds": "1"}
    grid = small_grid("paraphrase.backend=['builtin', 'file']", f"paraphrase.path={file}", **options)
    ((cell, _),) = grid.recipes.items()
    settle(grid, cell, tmp_path / "lab-20260101-000000")
    assert find_folders(grid, load_tasks(grid, None), out)[cell] == CellFolder(
        tmp_path / "lab-20260101-000000", "finished"
    )
    file.write_text('{"oldest": ["When?"]}')
    folder = find_folders(grid, load_tasks(grid, None), out)[cell]
    assert (folder.path, folder.state) == (out / cell.name, "new")
    assert folder.notes == (
        f"{tmp_path / 'lab-20260101-000000'} is not reused: "
        f"the file of candidates {file} has changed (content)",
    )


@pytest.mark.parametrize("where", ["begun here", "finished elsewhere"])
def test_all_cells_take_the_number_format_of_the_first_run_found(tmp_path: Path, where: str) -> None:
    grid, out = small_grid("model.dtype=auto", seeds="1"), tmp_path / "here"
    first, second, *_ = grid.recipes
    here = where == "begun here"
    settle(grid, first, out / first.name if here else tmp_path / "one", finished=not here, dtype="bfloat16")
    settle(grid, second, tmp_path / "two", dtype="float32")
    (out / "comparison.json").parent.mkdir(exist_ok=True)
    put(out / "comparison.json", {"settings": grid.settings})
    plan = make_plan(grid, out, None)
    assert number_format(plan) == "bfloat16"
    assert plan.folders[second].state == "new"
    assert plan.notes == [
        f'{tmp_path / "two"} is not reused: what model.dtype = "auto" chose has changed (number format)'
    ]


def test_a_number_format_is_chosen_only_where_the_recipe_leaves_it_open(tmp_path: Path) -> None:
    assert number_format(make_plan(small_grid("model.dtype=float32"), tmp_path / "named", None)) is None
    chosen = number_format(make_plan(small_grid("model.dtype=auto"), tmp_path / "open", None))
    assert chosen == ("bfloat16" if torch.cuda.is_available() else "float32")


def test_a_cell_of_another_model_under_the_same_name_is_run_anew_beside_it(tmp_path: Path) -> None:
    folder, out = tmp_path / "model", tmp_path / "out"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("old")
    grid = small_grid(f"model.name={folder}", seeds="1")
    cell, *_ = grid.recipes
    settle(grid, cell, out / cell.name)
    put(out / "comparison.json", {"settings": grid.settings})
    (folder / "model.safetensors").write_text("new")
    plan = make_plan(grid, out, None)
    anew = plan.folders[cell]
    assert (anew.path.parent, anew.state) == (out, "new")
    assert re.fullmatch(rf"{cell.name}-[0-9a-f]{{8}}", anew.path.name)
    reason = f"{out / cell.name} is not reused: the model {folder} has changed (model.safetensors)"
    assert plan.notes == [reason]
    assert (cell in plan.unfinished, plan.reused) == (True, {})
    settle(grid, cell, anew.path)
    assert make_plan(grid, out, None).folders[cell] == CellFolder(anew.path, "finished", (reason,))
    (folder / "model.safetensors").write_text("old")
    assert make_plan(grid, out, None).folders[cell] == CellFolder(out / cell.name, "finished")


def test_a_run_of_another_version_is_refused_in_the_own_folder_and_passed_over_elsewhere(
    tmp_path: Path,
) -> None:
    grid, out = small_grid(), tmp_path / "here"
    cell, other, *_ = grid.recipes
    for one, folder in ((cell, out / cell.name), (other, tmp_path / "run")):
        settle(grid, one, folder)
        about = value_of(folder / "recipe.json")
        del about["format"]
        put(folder / "recipe.json", about)
    with pytest.raises(RunFolderError, match=r"recipe\.json was written by another version of sapo-lite"):
        find_folders(grid, load_tasks(grid, None), out)
    shutil.rmtree(out)
    assert find_folders(grid, load_tasks(grid, None), out)[other] == CellFolder(out / other.name, "new")


def test_a_cell_of_other_settings_or_data_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    grid, out = small_grid(), tmp_path / "here"
    cell = next(iter(grid.recipes))
    settle(small_grid("training.epochs=9"), cell, out / cell.name)
    about = value_of(out / cell.name / "recipe.json")
    about["data"]["oldest"] = "0" * 64
    put(out / cell.name / "recipe.json", about)
    with pytest.raises(RunFolderError) as refused:
        find_folders(grid, load_tasks(grid, None), out)
    assert "training.epochs: 9 in the run, 2 in the recipe" in str(refused.value)
    assert "the data of oldest has changed" in str(refused.value)


def test_a_folder_of_another_comparison_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    out = tmp_path / "here"
    out.mkdir()
    settings = small_grid("training.epochs=9").settings
    put(out / "comparison.json", {"settings": settings, "runs": []})
    check_folder(out, small_grid("training.epochs=9", strategies="worst", seeds="9"))
    with pytest.raises(
        RunFolderError, match=f"{out} holds another comparison:\n  training.epochs: 9 there, 2 now\n"
    ):
        check_folder(out, small_grid())


def test_a_folder_of_something_else_is_never_taken(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(1.0))
    with pytest.raises(RunFolderError, match="exists and is a run folder"):
        check_folder(run, small_grid())
    with pytest.raises(RunFolderError, match="exists and is not a comparison's folder"):
        check_folder(tmp_path, small_grid())


def test_a_comparison_in_use_is_refused(tmp_path: Path) -> None:
    grid = small_grid()
    with (
        comparison_folder(tmp_path / "out", grid),
        pytest.raises(RunFolderError, match="is in use by another sapo-lite process"),
        comparison_folder(tmp_path / "out", grid),
    ):
        pass


def test_what_a_killed_comparison_left_half_written_is_removed(tmp_path: Path) -> None:
    out, cell = tmp_path / "out", tmp_path / "out/sapo-lorainc-0"
    cell.mkdir(parents=True)
    left, others = [".comparison.json.123"], [".mine.txt", ".comparison.json.old", "comparison.json.123"]
    for name in (*left, *others):
        (out / name).touch()
    (cell / ".usage.json.123").touch()  # of a run, which may be under way
    put(out / "comparison.json", {"settings": small_grid().settings})
    with comparison_folder(out, small_grid()):
        names = {path.name for path in out.iterdir()}
        assert names == {*others, "comparison.json", ".lock", cell.name}
    assert (cell / ".usage.json.123").exists()


def test_what_was_finished_or_begun_before_is_copied_into_what_is_new(tmp_path: Path) -> None:
    earlier = small_grid(strategies="sapo", adapters="lorainc")
    finished, unfinished = earlier.recipes
    settle(earlier, finished, tmp_path / "out" / finished.name)
    settle(earlier, unfinished, tmp_path / "out" / unfinished.name, finished=False)
    put(tmp_path / "out/comparison.json", {"settings": earlier.settings})
    plan = make_plan(small_grid(strategies="random,sapo", adapters="lorainc"), tmp_path / "out", None)
    assert plan.unfinished == [unfinished, Cell("random", "lorainc", 0), Cell("random", "lorainc", 1)]
    for source in (finished, unfinished):
        new = Cell("random", "lorainc", source.seed)
        assert plan.sources[new] == {"zero-shot": source, "candidates": source}
        assert plan.sources[source] == {}


# --- work


def test_work_is_counted_as_a_run_does_it() -> None:
    settings = ["sequence.train_examples=40", "training.epochs=3", "training.batch_size=16"]
    grid = small_grid(*settings, strategies="sapo", adapters="lorainc,joint,zero", seeds="1")
    tasks = load_tasks(grid, None)
    lorainc, joint, zero = (plan_of(recipe, tasks[cell]).total for cell, recipe in grid.recipes.items())
    # Two tasks of 40 rows and 12 test examples; 4 candidates on 16 examples; three tests of both tasks, of
    # which learned ones have two wordings.
    common = Work(prompts=2 * 3, forwards=Amount(2 * 4 * 16), rows=2 * 3 * 40)
    answers = Amount(24 + (24 + 12) + 48, exact=False)
    assert lorainc == replace(common, steps=2 * 3 * 3, answers=answers)
    assert joint == replace(common, steps=3 * 5, answers=Amount(24 + 48, exact=False))
    assert zero == Work(prompts=2 * 3, answers=Amount(24))  # inputs are cut as they are for the others


def test_work_has_what_methods_add() -> None:
    settings = ["sequence.train_examples=40", "training.epochs=3", "training.batch_size=16"]
    more = ["prompt.rescore=epoch", "adapter.replay_share=0.5"]
    more += ["paraphrase.held_out=1", "evaluation.robustness=1"]
    grid = small_grid(*settings, *more, strategies="sapo", adapters="replay", seeds="1")
    ((cell, recipe),) = grid.recipes.items()
    work = plan_of(recipe, load_tasks(grid, None)[cell]).total
    # Candidates are scored thrice; the second task has 20 rows of the first; a held-out wording at the end.
    assert work == Work(
        prompts=2 * 4,
        forwards=Amount(3 * 2 * 4 * 16, exact=False),
        steps=3 * (3 + 4),
        rows=3 * (40 + 60),
        replayed=3 * 20,
        answers=Amount(24 + (24 + 12) + 48 + 24, exact=False),
    )


def test_what_is_copied_is_no_work() -> None:
    grid = small_grid(strategies="sapo", adapters="lorainc", seeds="1")
    (cell, recipe), tasks = next(iter(grid.recipes.items())), load_tasks(grid, None)
    plan = plan_of(recipe, tasks[cell])
    everything, less = plan.total, plan.less({"zero-shot", "losses", "candidates"}).total
    assert (everything.prompts, less.prompts) == (2 * 3, 0)
    assert everything.forwards.most - less.forwards.most == 4 * 16
    assert everything.answers.most - less.answers.most == 24
    last = plan.less({"zero-shot", "first stage"})
    assert (last.total.answers, last.of_stage(1)) == (Amount(48, exact=False), Work())


@pytest.mark.slow
def test_a_dry_run_prints_the_grid_and_makes_nothing(tmp_path: Path) -> None:
    flags = [flag for setting in SETTINGS for flag in ("--set", setting)]
    options = ["--strategies", "fixed,sapo", "--adapters", "lorainc,olora", "--seeds", "2", "--dry-run"]
    settle(small_grid(), Cell("sapo", "olora", 1), tmp_path / "runs" / "lab-before")
    done = run_program(command("compare", "lab", *options, *flags), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["fixed", "lorainc", "-", "-", "0,", "1", "0", "16", "120"] in rows
    assert ["sapo", "olora", "1", "-", "0", "64", "4", "48"] in rows
    assert "lab: 8 runs, by seeds, in runs/compare-lab-" in done.stdout
    # A long path is broken where the line ends.
    assert f"sapo-olora-1is{tmp_path / 'runs' / 'lab-before'}" in "".join(done.stdout.split())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["lab-before"]


# --- workers


class Recorder:
    def __init__(self) -> None:
        self.started_items: list[str] = []
        self.took: dict[str, float] = {}

    def started(self, item: str) -> None:
        self.started_items.append(item)

    def finished(self, item: str, took: float) -> None:
        self.took[item] = took


def workers(tmp_path: Path, jobs: int, *, fresh: bool = False) -> LocalWorkers:
    return LocalWorkers(jobs, tmp_path / "workers.log", gc.collect, fresh=fresh)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True])
def test_items_begin_when_what_they_start_from_is_finished(tmp_path: Path, fresh: bool) -> None:
    watcher, after = Recorder(), {"1": set[str](), "2": {"1"}, "3": set[str](), "4": {"2", "3"}}
    seen: list[tuple[str, set[str]]] = []

    def ready(item: str, finished: Collection[str]) -> bool:
        found = after[item] <= set(finished)
        seen.append((item, set(finished))) if found else None
        return found

    jobs = 1 if fresh else 2
    do_all(list(after), float, workers(tmp_path, jobs, fresh=fresh), watcher, ready)
    assert watcher.took == {"1": 1.0, "2": 2.0, "3": 3.0, "4": 4.0}
    assert watcher.started_items[-1] == "4"
    assert all(after[item] <= finished for item, finished in seen)


def test_an_item_that_fails_ends_everything(tmp_path: Path) -> None:
    watcher = Recorder()
    with pytest.raises(ValueError, match="could not convert string to float: 'two'"):
        do_all(["1", "two", "3"], float, workers(tmp_path, 1), watcher, lambda item, finished: True)
    assert watcher.took == {"1": 1.0}


def test_a_worker_that_dies_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="a worker process ended in the middle of its work"):
        do_all([3], os._exit, workers(tmp_path, 1), Recorder(), lambda item, finished: True)  # type: ignore[arg-type]


def test_one_device_is_not_for_several_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(small_grid(seeds="1"), tmp_path / "out", None)
    check(plan, Place(), 2, None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    check(plan, Place(), 1, None)
    with pytest.raises(SapoLiteError, match="--jobs 2: expected 1 on a machine with CUDA"):
        check(plan, Place(), 2, None)


def test_a_kind_of_prompt_that_will_not_be_tested_is_refused_beforehand(tmp_path: Path) -> None:
    plan = make_plan(small_grid(seeds="1"), tmp_path / "out", None)
    with pytest.raises(RecipeError, match=r"--prompts: expected chosen or original .*, found unseen"):
        check(plan, Place(), 1, "unseen")
