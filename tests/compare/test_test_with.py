"""`compare --test-with`: runs of a seed and an adapter are tested with the prompts that one of them chose."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from test_compare_runs import contents, plain_run

from forked import run_program
from kept import put, value_of
from made_runs import made_run, two_tasks
from sapo_lite.compare.comparison import compare_folders
from sapo_lite.compare.folders import CellFolder
from sapo_lite.compare.grid import Cell, Grid, make_grid
from sapo_lite.compare.plan import in_order, make_plan
from sapo_lite.compare.read import read_run
from sapo_lite.compare.reuse import pieces
from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.run.inputs import OTHER_RUN
from sapo_lite.run.results import read_results, write_results
from small import LAB, SETTINGS, command, small_run

FAST = (LAB, "training.epochs=1", "paraphrase.held_out=1")


def grid(test_with: str | None = "sapo", *settings: str, **options: Any) -> Grid:
    lists = {"strategies": "fixed,sapo", "adapters": "lorainc,olora,zero", "seeds": "2"} | options
    return make_grid("lab", [*SETTINGS, *settings], test_with=test_with, **lists)


def test_every_cell_is_tested_with_the_choice_of_one_strategy(tmp_path: Path) -> None:
    found = make_plan(grid(), tmp_path / "out", None).grid
    for cell, recipe in found.recipes.items():
        assert recipe.evaluation.matrix
        other = (
            None if cell.strategy == "sapo" or cell.adapter == "zero" else f"sapo-{cell.adapter}-{cell.seed}"
        )
        assert found.tested_with(cell) == (other and Cell("sapo", cell.adapter, cell.seed))
        assert recipe.evaluation.other_run == (other and str(tmp_path / "out" / other))
    assert found.settings["test_with"] == "sapo"
    assert found.digest == grid().digest != grid(None).digest


def test_a_cell_with_another_run_is_the_run_of_its_command(tmp_path: Path) -> None:
    found = make_plan(grid(), tmp_path / 'a "quoted" ü', None).grid
    cell = Cell("fixed", "olora", 1)
    words = shlex.split(found.command(cell))
    repeated = [word for word in words[4::2] if word.startswith("evaluation.other_run")]
    assert repeated == [found.overrides[cell][-1]]
    assert found.recipes[cell].evaluation.other_folder() == tmp_path / 'a "quoted" ü' / "sapo-olora-1"


def test_a_folder_beside_the_recipe_is_not_taken_for_the_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths of a recipe are looked for beside it first."""
    recipe = tmp_path / "recipes/own.toml"
    (recipe.parent / "out/sapo-lorainc-0").mkdir(parents=True)
    (tmp_path / "out/sapo-lorainc-0").mkdir(parents=True)
    recipe.write_text(
        '[model]\nname = "lab"\nquantization = "none"\n[sequence]\nsuite = "lab"\n'
        'tasks = ["oldest", "mood"]\n[paraphrase]\nbackend = "builtin"\n'
    )
    monkeypatch.chdir(tmp_path)
    own = make_grid(str(recipe), [], strategies="fixed,sapo", adapters=None, seeds="1", test_with="sapo")
    fixed, sapo = own.recipes
    found = own.with_other_runs({sapo: Path("out") / sapo.name})
    assert found.recipes[fixed].evaluation.other_folder() == tmp_path / "out/sapo-lorainc-0"


def test_cells_wait_for_those_whose_prompts_they_take(tmp_path: Path) -> None:
    """Even where they have begun: a cell must not wait for a piece of one that waits for it."""
    found = grid()
    folders = {
        cell: CellFolder(tmp_path / cell.name, "begun" if cell.strategy == "fixed" else "new")
        for cell in found.recipes
    }
    order = in_order(found, folders)
    assert order.index(Cell("sapo", "olora", 1)) < order.index(Cell("fixed", "lorainc", 0))
    plan = make_plan(found, tmp_path / "out", None)
    for cell, sources in plan.sources.items():
        if cell.strategy == "sapo":
            assert all(plan.grid.tested_with(source) is None for source in sources.values())


def test_only_the_first_stage_depends_on_the_other_run(tmp_path: Path) -> None:
    plan = make_plan(grid(None, "paraphrase.held_out=1"), tmp_path / "a", None)
    with_it = make_plan(grid("sapo", "paraphrase.held_out=1"), tmp_path / "b", None)
    cell = Cell("fixed", "lorainc", 0)
    before, now = (pieces(p.grid.recipes[cell].resolved()) for p in (plan, with_it))
    matrix = {
        name: text.replace('"evaluation.matrix": true', '"evaluation.matrix": false')
        for name, text in now.items()
    }
    assert [name for name in before if before[name] != matrix[name]] == ["first stage"]


@pytest.mark.parametrize(
    ("test_with", "settings", "said"),
    [
        ("worst", (), '--test-with: expected "fixed" or "sapo" \\(--strategies\\), found "worst"'),
        ("sapo", ("evaluation.other_run=x",), "--set evaluation.other_run=x: .*; use --test-with"),
        ("sapo", ("evaluation.matrix=false",), "--set evaluation.matrix=false: .*; use --test-with"),
    ],
)
def test_what_does_not_fit_is_refused(test_with: str, settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        grid(test_with, *settings)


# --- finished runs


def test_other_prompts_of_the_run_that_chose_them_are_its_own(tmp_path: Path) -> None:
    sapo = made_run(tmp_path / "sapo", two_tasks(60.0), strategy="sapo")
    own = read_run(sapo)
    fixed = made_run(tmp_path / "fixed", two_tasks(50.0), inputs={OTHER_RUN: {"prompts": own.chosen}})
    results = read_results(fixed)
    for found in (results.metrics, results.retention):
        found["other"] = found["original"]
    (fixed / "results.json").unlink()
    write_results(fixed, results)
    comparison = compare_folders([fixed, sapo], "other")
    means = {(one.group.strategy, one.metric): one.over_seeds for one in comparison.shown}
    assert {name: one and one.mean for name, one in means.items() if name[1] == "AP"} == {
        ("fixed", "AP"): 50.0,
        ("sapo", "AP"): 60.0,
    }
    assert means["sapo", "BWT"] is None  # of one kind of prompt at two stages
    alone = compare_folders([sapo], None)
    assert "other" not in alone.kinds


# --- real ones


def compare(out: Path, *arguments: str) -> list[str]:
    flags = [flag for setting in (*SETTINGS, *FAST) for flag in ("--set", setting)]
    grid = ("--strategies", "fixed,worst", "--seeds", "1", "--test-with", "worst")
    return command("compare", "lab", *flags, *grid, "--out", out, *arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("test-with") / "whole"
    done = run_program(compare(out, "--prompts", "other", "--plain"))
    assert done.returncode == 0, done.stderr
    assert "other prompts" in done.stdout
    return out


@pytest.mark.slow
def test_the_choice_of_one_cell_is_asked_in_the_other(whole: Path, tmp_path: Path) -> None:
    fixed, worst = (read_results(whole / f"{name}-lorainc-0") for name in ("fixed", "worst"))
    assert list(fixed.wordings) == ["chosen", "original", "unseen", "other"]
    assert list(worst.wordings) == ["chosen", "original", "unseen"]
    content = value_of(whole / "comparison.json")
    values = {
        (one["strategy"], one["metric"]): one["values"].get("0")
        for one in content["kinds"]["other"]["findings"]
    }
    assert values["worst", "AP"] == pytest.approx(worst.metrics["chosen"][TASK_METRIC].ap)
    ends = [cell.end for cell in fixed.wordings["other"].values()]
    assert values["fixed", "AP"] == pytest.approx(sum(ends) / len(ends))
    (line,) = (run["command"] for run in content["runs"] if run["strategy"] == "fixed")
    assert contents(whole / "fixed-lorainc-0") == contents(plain_run(tmp_path / "again", line))


@pytest.mark.slow
def test_the_same_command_does_nothing_twice(whole: Path) -> None:
    before = contents(whole)
    done = run_program(compare(whole, "--plain"))
    assert done.returncode == 0, done.stderr
    assert "== fixed" not in done.stderr
    assert contents(whole) == before


@pytest.mark.slow
def test_a_cell_whose_other_run_has_chosen_anew_is_not_reused(whole: Path) -> None:
    file = whole / "worst-lorainc-0/results.json"
    before = file.read_text(encoding="utf-8")
    content = value_of(file)
    content["chosen"]["oldest"]["text"] += " Please."
    try:
        put(file, content)
        again = make_plan(
            make_grid(
                "lab",
                [*SETTINGS, *FAST],
                strategies="fixed,worst",
                adapters=None,
                seeds="1",
                test_with="worst",
            ),
            whole,
            None,
        )
    finally:
        file.write_text(before, encoding="utf-8")
    (note,) = again.notes
    assert note == f"{whole / 'fixed-lorainc-0'} is not reused: {OTHER_RUN} has changed (prompts)"
    assert again.unfinished == [Cell("fixed", "lorainc", 0)]


@pytest.mark.slow
def test_the_matrix_alone_makes_the_same_first_stage_with_two_methods(tmp_path: Path) -> None:
    out = tmp_path / "grid"
    flags = [flag for setting in (*SETTINGS, *FAST, "evaluation.matrix=true") for flag in ("--set", setting)]
    grid = ("--strategies", "worst", "--adapters", "lorainc,olora", "--seeds", "1", "--plain")
    done = run_program(command("compare", "lab", *flags, *grid, "--out", out))
    assert done.returncode == 0, done.stderr
    assert "first stage" in value_of(out / "worst-olora-0/copied.json")
    small_run(
        tmp_path / "alone", *FAST, "evaluation.matrix=true", "prompt.strategy=worst", "adapter.method=olora"
    )
    assert contents(out / "worst-olora-0") == contents(tmp_path / "alone")
