"""The evidence program: statistics, reuse between runs, resuming, and the report."""

import itertools
import json
import random
import shlex
import signal
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evidence import raw
from benchmarks.evidence.programme import (
    PROBED_ADAPTER,
    RESULTS,
    SETTINGS,
    Programme,
    make_programme,
    read_settings,
)
from benchmarks.evidence.report import differing, document, wrapped, write_report
from benchmarks.evidence.work import make_plan
from forked import Program, run_program
from sapo_lite.compare.grid import Cell
from sapo_lite.errors import DataError, RecipeError
from sapo_lite.recipe import load_recipe
from sapo_lite.recipe.seeds import seed_list

ROOT = Path(__file__).resolve().parents[2]

# --- the programme


SMALL_SIZES = [
    "sequence.train_examples=24",
    "sequence.test_examples=6",
    "scoring.score_examples=16",
    "paraphrase.count=2",
    "paraphrase.held_out=2",
    "training.epochs=1",
    "training.batch_size=8",
]


def programme_of(tmp_path: Path, *, learned: Sequence[int] = (1, 2, 3), **options: Any) -> Programme:
    settings = read_settings()
    settings["probe"]["learned"] = list(learned)
    return make_programme(settings, tmp_path, **options)


def test_the_recorded_runs_are_those_of_the_frozen_settings(tmp_path: Path) -> None:
    programme = programme_of(tmp_path)
    recorded = json.loads((RESULTS / "sequences.json").read_text(encoding="utf-8"))["cells"]
    assert [Cell(c["strategy"], c["adapter"], c["seed"]) for c in recorded] == programme.cells
    assert [c["command"] for c in recorded] == [programme.grid.command(cell) for cell in programme.cells]
    assert [tuple(c["tasks"]) for c in recorded] == [
        programme.recipe(cell).sequence.tasks for cell in programme.cells
    ]
    probed = json.loads((RESULTS / "probe.json").read_text(encoding="utf-8"))["transitions"]
    assert [(t["seed"], t["learned"]) for t in probed] == [(t.seed, t.learned) for t in programme.transitions]


def test_the_frozen_settings_are_a_programme_for_the_recipes_own_tasks(tmp_path: Path) -> None:
    programme, tasks = programme_of(tmp_path), set(load_recipe(read_settings()["recipe"]).sequence.tasks)
    assert len(programme.cells) == 10 * 2 * 5
    assert len(programme.transitions) >= 6
    orders = {programme.recipe(cell).sequence.tasks for cell in programme.cells}
    assert all(set(order) == tasks for order in orders)
    assert len(orders) > 5
    for cell in programme.cells[:10]:  # one seed: the same for all but strategy and adapter
        recipe, base = programme.recipe(cell), programme.recipe(Cell("fixed", "lorainc", cell.seed))
        assert (recipe.seed, recipe.sequence) == (base.seed, base.sequence)
        assert recipe.sequence.draw == recipe.seed == cell.seed


def test_the_printed_command_is_the_cell(tmp_path: Path) -> None:
    programme = programme_of(tmp_path)
    for cell in programme.cells[:3]:
        words = shlex.split(programme.grid.command(cell))
        assert words[:2] == ["sapo-lite", "run"]
        assert load_recipe(words[2], words[4::2]).resolved() == programme.recipe(cell).resolved()


def test_settings_are_changed_on_tuning_seeds_only(tmp_path: Path) -> None:
    change = ["training.learning_rate=1e-3"]
    with pytest.raises(RecipeError, match=r"expected seeds for tuning \(100-109\), found 7, 110"):
        programme_of(tmp_path, seeds="7,100,110", overrides=change)
    programme = programme_of(tmp_path, seeds="100", overrides=[*change, "paraphrase.held_out=3"])
    recipe = programme.recipe(programme.cells[0])
    assert (recipe.training.learning_rate, recipe.paraphrase.held_out) == (1e-3, 3)


def test_every_set_of_settings_that_was_looked_at_is_counted_once(tmp_path: Path) -> None:
    for seeds, overrides in (("100", []), ("101", []), ("100", ["training.epochs=9"])):
        raw.count_settings(programme_of(tmp_path, seeds=seeds, overrides=overrides), tmp_path)
    tried = json.loads((tmp_path / "tried.json").read_text())
    assert [entry["seeds"] for entry in tried] == [[100, 101], [100]]
    assert differing(tried[1]["settings"], tried[0]["settings"]) == ["training.epochs = 9"]


def test_settings_that_are_tried_have_folders_of_their_own(tmp_path: Path) -> None:
    one, again, other = (
        programme_of(tmp_path, seeds=seeds, overrides=overrides).grid.digest
        for seeds, overrides in (("100", []), ("101-103", []), ("100", ["training.epochs=9"]))
    )
    assert one == again != other


def test_what_would_not_run_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r'evaluation.prompts: expected "all", found "both"'):
        programme_of(tmp_path, seeds="100", overrides=["evaluation.prompts=both"])
    with pytest.raises(RecipeError, match=r"probe.learned: expected fewer than the 2 tasks of lab, found 3"):
        programme_of(tmp_path, seeds="100", overrides=[f"sequence.tasks={json.dumps(some_tasks(2))}"])
    with pytest.raises(RecipeError, match="expected seeds such as 0-9 or 0,3,7, found 'all'"):
        seed_list("all")
    assert seed_list("0-2,7") == (0, 1, 2, 7)


@pytest.mark.parametrize("only", [None, "probe", "sequences"])
def test_every_item_is_done_once_after_what_it_starts_from(tmp_path: Path, only: str | None) -> None:
    programme = programme_of(tmp_path, only=only, seeds="0-6")
    plan = make_plan(programme)
    assert set(plan.items) == {*programme.cells, *programme.transitions}
    assert len(plan.items) == {None: 7 * 10 + 6 * 3, "probe": 6 + 6 * 3, "sequences": 7 * 10}[only]
    for place, item in enumerate(plan.items):
        assert set(plan.sources[item]) <= set(plan.items[:place])
        assert {source.seed for source in plan.sources[item]} <= {item.seed}
        assert plan.seconds(item) > 0
    assert all(plan.sources[transition] == [transition.base] for transition in programme.transitions)


def test_the_estimate_counts_what_a_probe_does(tmp_path: Path) -> None:
    settings = [*SMALL_SIZES, f"sequence.tasks={json.dumps(some_tasks(3))}"]
    programme = programme_of(tmp_path, seeds="100", overrides=settings, only="probe", learned=[1])
    work = make_plan(programme).work[programme.transitions[0]]
    # Three candidates, trained and scored on 24 and 16 rows; 6 answers a task, of three tasks under two
    # prompts and of the new one under its own.
    assert (work.rows, work.forwards.most, work.answers.most) == (3 * 24, 3 * 16, 3 * 6 * 7)


def test_a_baseline_that_is_not_the_first_strategy_is_refused(tmp_path: Path) -> None:
    settings = read_settings() | {"strategies": ["sapo", "fixed"]}
    with pytest.raises(RecipeError, match=r"expected 'fixed' as the first strategy .*found strategies sapo"):
        make_programme(settings, tmp_path)


# --- the report


def some_tasks(count: int) -> list[str]:
    return list(load_recipe("lab").sequence.tasks[:count])


def made_up(effect: float, slope: float, seeds: int = 10) -> dict[str, Any]:
    """Raw results in which `sapo` is `effect` points from `fixed`, and scores rise by `slope` with loss."""
    rng = random.Random(0)
    kinds = ("chosen", "original", "unseen")
    about = {
        "recipe": "lab",
        "settings": {"training.epochs": 3},
        "seeds": list(range(seeds)),
        "machine": {"device": "a processor", "system": "a system"},
        "python": "3.11",
        "packages": {"torch": "2.0"},
    }
    cells = []
    for seed, strategy in itertools.product(range(seeds), ("fixed", "sapo")):
        level = 50 + 2 * seed + (effect if strategy == "sapo" else 0) + rng.gauss(0, 1)
        metrics = {"rougeL": {"ap": level, "bwt": level - 60, "fwt": rng.gauss(0, 1)}}
        cells.append({"strategy": strategy, "adapter": "lorainc", "seed": seed, "tasks": ["a", "b", "c"]})
        cells[-1] |= {"chosen": {"a": 0, "b": 3, "c": 1}, "metrics": dict.fromkeys(kinds, metrics)}
        cells[-1] |= {"seconds": 30.0, "command": "sapo-lite run lab"}
    transitions = []
    for seed in range(3):
        rows = []
        for number in range(21):
            loss = rng.uniform(0, 2)
            scores = [{"rougeL": 50 + slope * loss + rng.gauss(0, 1)} for _ in range(3)]
            rows.append({"loss": loss, "scores": dict.fromkeys(kinds, scores), "candidate": number})
        before = dict.fromkeys(kinds, [{"rougeL": 50.0}] * 3)
        transitions.append({"seed": seed, "learned": 1, "tasks": ["a", "b", "c"], "before": before})
        transitions[-1] |= {"rows": rows, "one_start": True, "repeats_the_run": True, "seconds": 1.0}
    return {
        "sequences.json": {**about, "cells": cells},
        "probe.json": {**about, "permutations": 2000, "transitions": transitions},
        "tried.json": [{"recipe": "lab", "settings": {"training.epochs": 9}, "seeds": [100, 101]}],
    }


def report_of(results: dict[str, Any]) -> str:
    text = document(results, read_settings(), [])
    return " ".join(text.split())  # wherever its lines break


@pytest.mark.parametrize(
    ("effect", "slope", "said", "scores"),
    [
        (8.0, -5.0, "AP above fixed (+", "ended with higher scores"),
        (-8.0, 5.0, "AP below fixed (-", "ended with lower scores"),
        (0.0, 0.0, "AP not told apart from fixed (", "no relation that stands out from chance"),
    ],
)
def test_the_report_says_what_came_out_whatever_it_is(
    effect: float, slope: float, said: str, scores: str
) -> None:
    text = report_of(made_up(effect, slope))
    findings = text[text.index("## What came out") : text.index("## Settings")]
    verdicts = ("above fixed", "below fixed", "not told apart from fixed")
    assert findings.count(said) == 3  # own, original, unseen
    assert sum(findings.count(verdict) for verdict in verdicts) == 6  # AP and BWT
    assert findings.count(scores) == 7
    assert "this program tried 1 set of settings (it counts by itself):" in text
    assert "recipe `lab`: `training.epochs = 9` (seeds 100, 101)" in text
    assert "nan" not in text
    assert "training.epochs = 3" in text


def test_the_report_of_a_part_says_that_the_other_was_not_run() -> None:
    for name in ("sequences.json", "probe.json"):
        results = made_up(1.0, 1.0)
        del results[name]
        assert f"- {name} is missing: that part was not run." in report_of(results)


def test_a_single_seed_is_no_evidence() -> None:
    assert "AP on a single seed, which tells nothing of others" in report_of(made_up(8.0, 0.0, seeds=1))


def test_a_start_that_was_not_the_same_is_told() -> None:
    results = made_up(1.0, 1.0)
    results["probe.json"]["transitions"][0] |= {"one_start": False, "repeats_the_run": False}
    text = report_of(results)
    assert "bit-identical for all candidates in 2 of 3 transitions" in text
    assert "all scores were equal to that run's in 2 of 3." in text


def test_the_report_is_written_with_plots_that_are_xml(tmp_path: Path) -> None:
    for name, content in made_up(3.0, -1.0).items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    path = write_report(tmp_path, tmp_path / "docs", SETTINGS)
    text = path.read_text(encoding="utf-8")
    plots = sorted((path.parent / "evidence").glob("*.svg"))
    assert len(plots) == 5
    for plot in plots:
        ElementTree.parse(plot)
        assert f"](evidence/{plot.name})" in text
    with pytest.raises(DataError, match="has no results: expected"):
        write_report(tmp_path / "docs", tmp_path, SETTINGS)


def test_the_document_is_that_of_the_recorded_results(tmp_path: Path) -> None:
    write_report(RESULTS, tmp_path, SETTINGS)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(written) == 6
    assert written == {path: (ROOT / "docs" / path).read_bytes() for path in written}


def test_equal_differences_in_all_seeds_are_not_called_a_single_seed() -> None:
    results = made_up(8.0, 0.0, seeds=2)
    for cell in results["sequences.json"]["cells"]:
        level = 50.0 + (8 if cell["strategy"] == "sapo" else 0)
        metrics = {"rougeL": {"ap": level, "bwt": level - 60, "fwt": 0.0}}
        cell["metrics"] = dict.fromkeys(cell["metrics"], metrics)
    text = report_of(results)
    assert "AP differs from fixed by the same in all seeds, which leaves nothing to test (+8.0 points" in text
    assert "single seed" not in text


def test_paragraphs_are_wrapped_and_code_is_not() -> None:
    long = "word " * 40
    text = f"{long}\n\n- {long}\n\n```\n{long}\n\n{long}\n```\n\n| {long} |"
    lines = wrapped(text).splitlines()
    assert sum(len(line) > 110 for line in lines) == 3
    assert max(len(line) for line in lines[:6]) <= 110


def test_raw_results_keep_texts_as_they_are(tmp_path: Path) -> None:
    content = {"text": "[ 1 ,  2 ]\n[\n3\n]", "loss": 0.123456789, "R": [[1.23456, 2.0], [3.0, 4.0]]}
    raw._write(tmp_path / "x.json", content)
    assert json.loads((tmp_path / "x.json").read_text()) == {**content, "R": [[1.235, 2.0], [3.0, 4.0]]}


# --- whole programmes, tiny ones


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """The command of a tiny programme into a folder of that name, and the folder."""
    root = tmp_path_factory.mktemp("evidence")
    small = [f"sequence.tasks={json.dumps(some_tasks(3))}", *SMALL_SIZES]
    text = SETTINGS.read_text(encoding="utf-8")
    text = text.replace('"evaluation.prompts=all",', '"evaluation.prompts=all", ' + f"{small}"[1:-1] + ",")
    text = text.replace('"paraphrase.held_out=10",', "").replace(', "worst", "random", "paft"', "")
    text = text.replace("learned = [1, 2, 3]", "learned = [1, 2]").replace("20000", "100")
    (root / "settings.toml").write_text(text, encoding="utf-8")

    def command(name: str) -> list[str]:
        options = ["--seeds", "100", "--settings", root / "settings.toml", "--out", root / name]
        words = [sys.executable, "-m", "benchmarks.evidence", *options, "--results", root / name / "results"]
        return [str(word) for word in words]

    return command


def folder_of(command: list[str]) -> Path:
    return Path(command[command.index("--out") + 1])


@pytest.fixture(scope="module")
def finished(programme: Callable[[str], list[str]]) -> Path:
    command = programme("whole")
    done = run_program(command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "4 runs and 2 transitions to probe: about " in done.stderr
    assert "6/6, about 0 s left: " in done.stderr
    assert "sapo on olora, unseen wordings: AP on a single seed" in " ".join(done.stdout.split())
    return folder_of(command)


def results_of(out: Path) -> dict[str, Any]:
    """The raw results without times and memory."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k != "seconds"}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    return {path.name: timeless(json.loads(path.read_text())) for path in (out / "results").glob("*.json")}


@pytest.mark.slow
def test_the_probe_starts_from_one_state_and_repeats_the_run(finished: Path) -> None:
    transitions = results_of(finished)["probe.json"]["transitions"]
    assert [(t["learned"], len(t["rows"])) for t in transitions] == [(1, 3), (2, 3)]
    for transition in transitions:
        assert len({row["start"] for row in transition["rows"]}) == 1
        assert transition["one_start"]
        assert transition["repeats_the_run"]
        assert len({row["loss"] for row in transition["rows"]}) == 3
    assert len({t["rows"][0]["start"] for t in transitions}) == 2


@pytest.mark.slow
def test_what_is_copied_between_cells_is_what_they_would_have_found(finished: Path, tmp_path: Path) -> None:
    from rich.console import Console

    from sapo_lite.report.plain import PlainDisplay
    from sapo_lite.run.folder import RunFolder
    from sapo_lite.run.pipeline import run

    plan_file = json.loads((finished / "results" / "sequences.json").read_text())
    for cell in plan_file["cells"]:
        if cell["adapter"] == PROBED_ADAPTER:
            continue
        name = f"{cell['strategy']}-{cell['adapter']}-100"
        words = shlex.split(cell["command"])
        with RunFolder(tmp_path / name) as folder, (tmp_path / "shown").open("a") as shown:
            run(load_recipe(words[2], words[4::2]), folder, PlainDisplay(Console(file=shown)))
        ours = {p.relative_to(finished / name): p for p in (finished / name).glob("0*/**/*") if p.is_file()}
        ours = {path: file for path, file in ours.items() if path.name != "usage.json"}  # seconds
        assert any(path.parts[-1] == "adapter_model.safetensors" for path in ours)
        for path, file in ours.items():
            assert file.read_bytes() == (tmp_path / name / path).read_bytes(), path
        assert (finished / name / "results.json").read_bytes() == (
            tmp_path / name / "results.json"
        ).read_bytes()
    for name, first in (("sapo-lorainc-100", False), ("sapo-olora-100", True)):
        # A copy has the time of its original.
        sources = {"00-zero-shot": "fixed-lorainc-100", "01-*": "sapo-lorainc-100" if first else name}
        for stage, source in sources.items():
            (ours,), (theirs,) = (list((finished / n).glob(f"{stage}/stage.json")) for n in (name, source))
            assert ours.stat().st_mtime_ns == theirs.stat().st_mtime_ns


@pytest.mark.slow
def test_a_programme_that_was_killed_goes_on_to_the_same_results(
    finished: Path, programme: Callable[[str], list[str]]
) -> None:
    command = programme("broken")
    out = folder_of(command)
    process = Program(command, cwd=ROOT)
    while not list(out.glob("probe-100-after-2/outcomes/01.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = run_program(command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "(was done)" in done.stderr
    assert results_of(out) == results_of(finished)


@pytest.mark.slow
def test_a_folder_of_other_settings_is_refused(finished: Path, programme: Callable[[str], list[str]]) -> None:
    command = [*programme("whole"), "--set", "training.epochs=2"]
    done = run_program(command, cwd=ROOT)
    assert done.returncode == 1
    assert "training.epochs: 1 in the run, 2 in the recipe" in done.stderr
    assert "Traceback" not in done.stderr
