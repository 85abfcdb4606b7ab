"""The studies of benchmarks/evidence: what a seed draws, the items, the raw results, and a tiny study."""

import json
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evidence import raw
from benchmarks.evidence.draws import draw_lab, draw_wordings, without_candidates
from benchmarks.evidence.items import Crossed, Item, Probe, Run
from benchmarks.evidence.programme import STUDIES, Study, read_settings, settings_file
from benchmarks.evidence.tuning import in_task, trials, update
from benchmarks.evidence.work import make_plan
from forked import Program, run_program
from random_backbone import random_backbone
from sapo_lite.compare.cells import run_cell
from sapo_lite.errors import DataError, RecipeError
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import PHRASINGS
from sapo_lite.prompts.gate import normalise, reject_reason
from sapo_lite.report.plain import plain_file
from sapo_lite.run.tasks import load_run_tasks

ROOT = Path(__file__).resolve().parents[2]

TINY = f"""
recipe = "lab"
seeds = "0-1"
tuning_seeds = "100-109"
adapters = ["lorainc"]
other_run = true
settings = [
    "model.name={random_backbone()}",
    "model.loader=transformers",
    "evaluation.prompts=all",
    "evaluation.matrix=true",
    "paraphrase.count=2",
    "paraphrase.held_out=2",
    "sequence.train_examples=16",
    "sequence.test_examples=4",
    "scoring.score_examples=8",
    "training.epochs=1",
]

[lab]
tasks = 2
candidates = 2
held_out = 2
unseen_cores = 2
watched = ["reverse"]

[[variant]]
name = "sapo"
strategy = "sapo"

[[variant]]
name = "fixed"
strategy = "fixed"

[[probe]]
variant = "fixed"
seeds = "0"
after = [1]
orders = 2

[crossed]
sequences = "0"
pairs = "1"

[tuning]
seeds = "100"
try = [{{ variant = "fixed", set = ["training.learning_rate=1e-3"] }}]

[rates]
trained_rows = 140
scored_examples = 450
answers = 190
choices = 450
start = 1.0
"""


def study_of(name: str, tmp_path: Path, data: Path | None = None) -> Study:
    settings = read_settings(settings_file(name))
    return Study(name, settings, tmp_path / "out", tmp_path / "results", data)


def tiny(tmp_path: Path) -> Study:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return Study("lab", read_settings(path), tmp_path / "out", tmp_path / "results")


# --- what a seed draws


SIZES = {"candidates": 20, "held_out": 10, "unseen_cores": 2}


@pytest.mark.parametrize("task", TASKS)
def test_unseen_wordings_share_no_core_phrase_with_the_candidates(task: str) -> None:
    for seed in range(5):
        found = draw_wordings(task, str(seed), **SIZES)
        assert (len(found.candidates), len(found.unseen)) == (20, 10)
        assert not set(found.seen.values()) & set(found.unseen.values())
        assert len({normalise(text) for text in (*found.seen, *found.unseen)}) == 31
        assert len(set(found.unseen.values())) <= 2


def test_the_original_is_drawn_from_all_core_phrases_and_registers_as_the_candidates_are() -> None:
    task, count = "oldest", 400
    drawn = [draw_wordings(task, str(seed), **SIZES) for seed in range(count)]
    cores = Counter(found.seen[found.original] for found in drawn)
    assert set(cores) == set(range(len(PHRASINGS[task].cores)))
    assert max(cores.values()) < 2 * count / len(cores)
    # Of any two wordings of a pool either is as likely to be the longer one.
    longer = [len(found.original) > len(found.candidates[0]) for found in drawn]
    assert 0.4 < sum(longer) / count < 0.6


def test_a_seed_always_draws_the_same(tmp_path: Path) -> None:
    settings = read_settings(settings_file("lab"))["lab"]
    one, again, other = (draw_lab(settings, seed, tmp_path / at) for seed, at in ("3a", "3b", "4c"))
    assert (one.tasks, one.cores) == (again.tasks, again.cores)
    assert one.tasks != other.tasks
    texts = [sorted((draw.data / "lab").rglob("*.json")) for draw in (one, again) if draw.data]
    assert [path.read_bytes() for path in texts[0]] == [path.read_bytes() for path in texts[1]]


def test_tasks_are_drawn_from_all_twelve(tmp_path: Path) -> None:
    study = study_of("lab", tmp_path)
    drawn = [study.draw(Run("fixed", "lorainc", seed)).tasks for seed in study.seeds]
    assert all(len(set(tasks)) == 5 for tasks in drawn)
    assert len({task for tasks in drawn for task in tasks}) == len(TASKS)


def test_a_run_accepts_every_wording_that_was_drawn(tmp_path: Path) -> None:
    study = study_of("lab", tmp_path)
    for seed in study.seeds[:4]:
        draw = study.draw(Run("fixed", "lorainc", seed))
        assert draw.candidates is not None
        texts = json.loads(draw.candidates.read_text(encoding="utf-8"))
        recipe = study.setup(Run("sapo", "lorainc", seed)).recipe
        tasks = {task.key: task for task in load_run_tasks(recipe.sequence, draw.data)}
        for task in draw.tasks:
            assert tasks[task].instruction == next(iter(draw.cores[task]))
            accepted: list[str] = []
            for text in texts[task]:
                assert reject_reason(text, tasks[task], accepted, generated=False) is None, text
                accepted.append(text)
            assert len(accepted) == 30
        assert {task.key for task in tasks.values() if task.watched} == set(draw.watched)


def test_a_watched_family_with_many_instructions_is_refused(tmp_path: Path) -> None:
    settings = read_settings(settings_file("lab"))["lab"] | {"watched": ["word_of_no_kind"]}
    with pytest.raises(DataError, match="expected families with one instruction, found word_of_no_kind"):
        draw_lab(settings, "0", tmp_path / "0")
    assert not (tmp_path / "0").exists()


def test_tasks_without_candidates_keep_their_unseen_wordings(tmp_path: Path) -> None:
    study = study_of("lab", tmp_path)
    draw = study.draw(Run("fixed", "lorainc", 0))
    assert draw.candidates is not None
    whole = json.loads(draw.candidates.read_text(encoding="utf-8"))
    path = without_candidates(draw, draw.tasks[:-1], tmp_path / "some.json", 10)
    some = json.loads(path.read_text(encoding="utf-8"))
    assert some == {task: whole[task][-10:] for task in draw.tasks[:-1]} | {
        draw.tasks[-1]: whole[draw.tasks[-1]]
    }


# --- the items


@pytest.mark.parametrize("name", STUDIES)
def test_every_item_has_a_file_of_its_own_and_comes_after_what_it_reads(name: str, tmp_path: Path) -> None:
    study = study_of(name, tmp_path)
    items = study.items()
    assert len({item.file for item in items}) == len(items)
    for place, item in enumerate(items):
        assert set(study.needs(item)) <= set(items[:place])
    assert not {item.seed for item in items} & set(study.tuning_seeds)
    runs = [item for item in items if isinstance(item, Run)]
    for seed in study.seeds:  # the comparison of the method with the baseline is whole first
        first = [run.variant for run in runs if run.seed == seed][:2]
        assert first == ["sapo", "fixed"]


def test_the_lab_has_the_items_that_its_document_is_written_from(tmp_path: Path) -> None:
    study = study_of("lab", tmp_path)
    items = study.items()
    by_variant = Counter(item.variant for item in items if isinstance(item, Run))
    assert by_variant == dict.fromkeys(["sapo", "fixed", "sapo-base", "random", "worst", "paft"], 20) | (
        dict.fromkeys(["paft-rows", "fixed-small", "sapo-lowlr", "fixed-lowlr"], 10)
    )
    probes = [item for item in items if isinstance(item, Probe)]
    assert sum(probe.variant == "fixed" for probe in probes) == 18
    assert "3-after-2-lr-fixed" in [probe.name for probe in probes]
    crossed = Counter(item.kind for item in items if isinstance(item, Crossed))
    assert crossed == {"sequence": 10, "pair": 24}


def test_smollm2_is_probed_in_both_of_its_sequences(tmp_path: Path, benchmarks: Path) -> None:
    study = study_of("smollm2", tmp_path, benchmarks)
    probes = [item for item in study.items() if isinstance(item, Probe)]
    assert len(probes) >= 4
    names = {study.setup(probe.run).recipe.name for probe in probes}
    assert names == {"ni_seq_c1_smollm2", "ni_seq_g1_smollm2"}
    assert study.needs(next(probe for probe in probes if probe.tag == "g1")) == []


@pytest.mark.slow
@pytest.mark.benchmarks_data
def test_smollm2_has_21_prompts_and_unseen_ones_for_every_task(tmp_path: Path, benchmarks: Path) -> None:
    study = study_of("smollm2", tmp_path, benchmarks)
    setup = study.setup(Run("fixed", "lorainc", 0))
    assert setup.recipe.model.dtype == "bfloat16"
    texts = json.loads(setup.recipe.paraphrase.candidates_file().read_text(encoding="utf-8"))
    for task in load_run_tasks(setup.recipe.sequence, setup.data):
        wordings = texts[task.id]
        assert len(wordings) == 26
        for place, text in enumerate(wordings):
            assert reject_reason(text, task, wordings[:place]) is None, text


@pytest.mark.parametrize("name", STUDIES)
def test_runs_of_a_seed_differ_in_their_variant_alone(name: str, tmp_path: Path) -> None:
    study = study_of(name, tmp_path, tmp_path)
    runs = [run for run in study.items([0], "runs") if isinstance(run, Run) and run.adapter == "lorainc"]
    recipes = [study.setup(run).recipe for run in runs]
    assert len({json.dumps(recipe.resolved()) for recipe in recipes}) == len(runs)
    for one, other in combinations(recipes, 2):
        assert (one.seed, one.sequence, one.paraphrase, one.scoring) == (
            other.seed,
            other.sequence,
            other.paraphrase,
            other.scoring,
        )
        assert one.sequence.draw == one.seed == 0


def test_the_others_are_tested_with_the_prompts_of_the_method_on_their_adapter(tmp_path: Path) -> None:
    study = study_of("lab", tmp_path)
    for adapter in ("lorainc", "olora"):
        assert study.needs(Run("sapo", adapter, 3)) == []
        assert study.needs(Run("worst", adapter, 3)) == [Run("sapo", adapter, 3)]
        found = study.setup(Run("worst", adapter, 3)).recipe.evaluation.other_run
        assert found == str(study.folder(Run("sapo", adapter, 3)))


def test_a_mixed_cell_chooses_only_for_the_tasks_of_one_side(tmp_path: Path) -> None:
    study = study_of("lab", tmp_path)
    for item in (Crossed(0, "pair"), Crossed(0, "sequence")):
        *old, last = study.draw(item).tasks
        cells = study.cells(item)
        assert len(cells) == 4
        assert {cell: setup.recipe.prompt.strategy for cell, setup in cells.items()} == {
            ("original", "original"): "fixed",
            ("original", "sapo"): "sapo",
            ("sapo", "original"): "sapo",
            ("sapo", "sapo"): "sapo",
        }
        files = {
            cell: json.loads(setup.recipe.paraphrase.candidates_file().read_text(encoding="utf-8"))
            for cell, setup in cells.items()
        }
        counts = {cell: {task: len(texts) for task, texts in found.items()} for cell, found in files.items()}
        assert counts["original", "sapo"] == dict.fromkeys(old, 10) | {last: 30}
        assert counts["sapo", "original"] == dict.fromkeys(old, 30) | {last: 10}
    assert cells["sapo", "sapo"].folder == study.folder(Run("sapo", "lorainc", 0))


def test_settings_without_the_baseline_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(TINY.replace('name = "fixed"', 'name = "plain"'), encoding="utf-8")
    with pytest.raises(RecipeError, match="expected the variants sapo, fixed, found no fixed"):
        read_settings(path)
    path.write_text(TINY.replace('name = "sapo"', 'name = "last"') + '[[variant]]\nname = "sapo"\n')
    with pytest.raises(RecipeError, match=r"expected sapo as the first variant, .* found last"):
        read_settings(path)


def test_the_estimate_counts_what_an_item_does(tmp_path: Path) -> None:
    plan = make_plan(tiny(tmp_path), tiny(tmp_path).items())
    probe = next(item for item in plan.items if isinstance(item, Probe))
    # Three candidates in two orders, on 16 rows; scored and answered on 8 examples. Four answers each: of two
    # tasks under the originals, unseen wordings and those of the other run; of one under the candidate; and
    # of what is watched.
    work = plan.work[probe]
    assert (work.rows, work.forwards.most) == (6 * 16, 3 * 8)
    assert work.answers.most == 6 * 4 * (2 * 3 + 1 + 1) + 3 * 8
    assert all(plan.seconds(item) > 1 for item in plan.items)


# --- raw results


def test_results_lose_what_may_quote_rows_and_nothing_else() -> None:
    results = {
        "tasks": ["a"],
        "findings": [{"examples": ["a row"]}],
        "notices": ["a row"],
        "rewriting": {"a": {"sample": ["a row", "b"]}},
        "matrices": {"chosen": {"rougeL": [[1.0]], "chrf": [[2.0]], "task_metric": [[1.0]]}},
        "wordings": {"chosen": {"a": {"learned": 1.0, "end": 1.0}}},
        "updates": {"a": {"gradient_norm": None, "update": 2.0, "layers": {"q_proj": 2.0}}},
    }
    kept = raw.without_rows(results)
    assert kept.keys() == results.keys()
    assert "a row" not in json.dumps(kept)
    assert kept["matrices"] == {"chosen": {"rougeL": [[1.0]], "task_metric": [[1.0]]}}
    assert kept["wordings"] == results["wordings"]
    assert kept["updates"] == {"a": {"gradient_norm": None, "update": 2.0, "layers": {}}}


def test_raw_results_keep_texts_and_seven_digits(tmp_path: Path) -> None:
    content = {"text": "[ 1 ,  2 ]\n[\n3\n]", "R": [[0.123456789, -2e-9], [3.0, 4]], "none": None}
    raw.write_compact(tmp_path / "x.json", content)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {**content, "R": [[0.1234568, -2e-9], [3.0, 4]]}
    assert "[0.1234568, -2e-09]" in text
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_results_of_other_settings_are_not_continued(tmp_path: Path) -> None:
    study = tiny(tmp_path)
    raw.freeze(study, TINY)
    more = {**study.settings, "seeds": "0-5", "variant": [*study.settings["variant"], {"name": "new"}]}
    raw.freeze(replace(study, settings=more), TINY)
    fewer = {**study.settings, "settings": study.settings["settings"][:-1]}
    with pytest.raises(RecipeError, match=r"holds results of other settings:\n  settings: .*training"):
        raw.freeze(replace(study, settings=fewer), TINY)
    changed = {
        **study.settings,
        "variant": [study.settings["variant"][0], {"name": "fixed", "strategy": "x"}],
    }
    with pytest.raises(RecipeError, match="variant fixed: "):
        raw.freeze(replace(study, settings=changed), TINY)


def test_settings_are_tried_on_tuning_seeds_only(tmp_path: Path) -> None:
    study = tiny(tmp_path)
    assert [(trial.variant, trial.seed) for trial in trials(study)] == [("fixed", 100)]
    reported = {**study.settings, "tuning": {**study.settings["tuning"], "seeds": "0,100"}}
    with pytest.raises(RecipeError, match=r"expected seeds for tuning \(100-109\), found 0$"):
        trials(replace(study, settings=reported))


def test_what_is_looked_at_in_tuning_is_the_score_right_after_learning() -> None:
    results = {"matrices": {"chosen": {"task_metric": [[0.0, 1.0], [50.0, 2.0], [3.0, 70.0]]}}}
    assert in_task(results) == 60.0
    assert update(results) is None
    assert update({"updates": {"a": {"update": 1.0}, "b": {"update": 2.0}}}) == 1.5


# --- a whole study, tiny


def command_of(folder: Path, *options: str) -> list[str]:
    settings = folder / "tiny.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(TINY, encoding="utf-8")
    words = [
        sys.executable,
        "-m",
        "benchmarks.evidence",
        "lab",
        "--settings",
        settings,
        "--out",
        folder / "out",
    ]
    return [str(word) for word in [*words, "--results", folder / "results", *options]]


def results_of(folder: Path) -> dict[str, Any]:
    """The raw results without seconds."""

    def timeless(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: timeless(v) for k, v in value.items() if k != "seconds"}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    files = (folder / "results").glob("*/*.json")
    return {str(path.relative_to(folder)): timeless(json.loads(path.read_text())) for path in files}


def file_of(item: Item) -> str:
    return f"results/{item.file}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    done = run_program(command_of(folder), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "lab: 7 items to do, 0 done before; about " in done.stderr
    assert "7/7, about 0 s left: " in done.stderr
    return folder


@pytest.mark.slow
def test_a_study_writes_a_file_for_every_item(finished: Path, tmp_path: Path) -> None:
    found = results_of(finished)
    assert set(found) == {file_of(item) for item in tiny(tmp_path).items()}
    run = found[file_of(Run("fixed", "lorainc", 0))]
    assert run.keys() == {"variant", "adapter", "seed", "tasks", "results"}
    assert run["results"]["chosen"].keys() == set(run["tasks"])
    assert run["results"]["wordings"].keys() == {"chosen", "original", "unseen", "other"}
    assert run["results"]["watched"].keys() == {"reverse"}
    probe = found["results/probes/0-after-1-fixed.json"]
    assert len(probe["candidates"]) == 3
    assert {(t["candidate"], t["order"]) for t in probe["trainings"]} == {
        (candidate, order) for candidate in range(3) for order in range(2)
    }
    about = json.loads((finished / "results" / "about.json").read_text())
    assert {f"results/{name}" for name in about["seconds"]} == set(found)
    assert (finished / "results" / "settings.toml").read_text() == TINY


@pytest.mark.slow
def test_the_cells_of_a_sequence_are_the_runs_and_two_mixed_ones(finished: Path) -> None:
    found = results_of(finished)
    sequence = found["results/crossed/0-sequence.json"]
    cells = {(cell["old"], cell["new"]): cell["results"] for cell in sequence["cells"]}
    assert cells["sapo", "sapo"] == found[file_of(Run("sapo", "lorainc", 0))]["results"]
    assert cells["original", "original"] == found[file_of(Run("fixed", "lorainc", 0))]["results"]
    old, new = sequence["tasks"]
    assert cells["original", "sapo"]["chosen"][old]["index"] == 0
    assert cells["sapo", "original"]["chosen"][new]["index"] == 0
    assert cells["sapo", "original"]["chosen"][old] == cells["sapo", "sapo"]["chosen"][old]
    # The first task has the same training wherever its wording is the same.
    for metric, matrix in cells["original", "original"]["matrices"]["original"].items():
        assert matrix[1][0] == cells["original", "sapo"]["matrices"]["original"][metric][1][0]
    pair = found["results/crossed/1-pair.json"]
    assert [(cell["old"], cell["new"]) for cell in pair["cells"]] == [
        ("sapo", "sapo"),
        ("original", "original"),
        ("original", "sapo"),
        ("sapo", "original"),
    ]


@pytest.mark.slow
def test_what_a_run_copies_from_others_is_what_it_would_have_found(finished: Path, tmp_path: Path) -> None:
    study = tiny(finished)
    own = study.folder(Run("fixed", "lorainc", 0))
    setup = study.setup(Run("fixed", "lorainc", 0))
    run_cell(setup.recipe, tmp_path / "alone", [], plain_file, setup.data)
    assert (own / "copied.json").exists()
    assert not (tmp_path / "alone" / "copied.json").exists()
    assert (tmp_path / "alone" / "results.json").read_bytes() == (own / "results.json").read_bytes()


@pytest.mark.slow
def test_the_probe_with_the_original_instruction_repeats_the_run(finished: Path) -> None:
    found = results_of(finished)
    run = found[file_of(Run("fixed", "lorainc", 0))]["results"]
    probe = found["results/probes/0-after-1-fixed.json"]
    own = next(t for t in probe["trainings"] if (t["candidate"], t["order"]) == (0, 0))
    for kind, scores in own["scores"].items():
        assert list(scores.values()) == run["matrices"][kind]["task_metric"][2]


@pytest.mark.slow
def test_raw_results_hold_no_row_of_the_data(finished: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (finished / "results").rglob("*.json")]
    assert texts
    for file in (finished / "out" / "data").glob("*/lab/*/*.json"):
        for row in json.loads(file.read_text(encoding="utf-8")):
            if len(row["sentence"]) > 20:
                assert not any(row["sentence"] in text for text in texts)
    assert not any(str(finished) in text for text in texts)


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_to_the_same_results(
    finished: Path, copied: Callable[[], Path]
) -> None:
    """Killed in the probe, with results of all other items."""
    folder = copied()
    shutil.rmtree(folder / "out")
    shutil.rmtree(folder / "results/probes")
    command = command_of(folder)
    process = Program(command, cwd=ROOT)
    while not list((folder / "out").glob("probes/0-after-1-fixed/candidate-01-order-0.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = set(results_of(folder))
    assert len(before) == 6
    done = run_program(command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "6 done before" in done.stderr
    assert results_of(folder) == results_of(finished)


@pytest.mark.slow
def test_an_item_with_results_is_not_run_again_and_its_folder_only_for_others(
    finished: Path, tmp_path: Path, copied: Callable[[], Path]
) -> None:
    folder = copied()
    shutil.rmtree(folder / "out")
    done = run_program(command_of(folder), cwd=ROOT)
    assert "lab: 0 items to do, 7 done before" in done.stderr
    assert not (folder / "out" / "runs").exists()
    fixed, kept = folder / file_of(Run("fixed", "lorainc", 1)), folder / file_of(Run("sapo", "lorainc", 1))
    fixed.unlink()
    kept.write_text(kept.read_text().replace('"variant": "sapo"', '"variant": "kept"'))
    done = run_program(command_of(folder), cwd=ROOT)
    assert "lab: 2 items to do, 6 done before" in done.stderr
    assert json.loads(kept.read_text())["variant"] == "kept"
    assert (
        results_of(folder)[file_of(Run("fixed", "lorainc", 1))]
        == (results_of(finished)[file_of(Run("fixed", "lorainc", 1))])
    )


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Callable[[], Path]:
    """A function that copies the finished study."""

    def copy() -> Path:
        shutil.copytree(finished, tmp_path / "copy")
        return tmp_path / "copy"

    return copy


@pytest.mark.slow
def test_after_the_limit_nothing_starts(tmp_path: Path) -> None:
    done = run_program(command_of(tmp_path, "--limit-minutes", "0.0001"), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "left after 0.0001 minutes: the same command goes on" in done.stderr
    assert not list((tmp_path / "results").glob("runs/fixed-*.json"))


@pytest.mark.slow
def test_what_is_tried_is_counted(tmp_path: Path) -> None:
    done = run_program(command_of(tmp_path, "--tune"), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads((tmp_path / "results" / "tried.json").read_text())
    assert (entry["variant"], entry["set"], entry["seeds"]) == (
        "fixed",
        ["training.learning_rate=1e-3"],
        [100],
    )
    assert 0 <= entry["in_task"][0] <= 100
    assert entry["update"][0] > 0
    assert "fixed training.learning_rate=1e-3: in_task " in done.stderr
    assert not (tmp_path / "results" / "settings.toml").exists()


def test_seeds_that_the_study_does_not_have_are_refused(tmp_path: Path) -> None:
    done = run_program(command_of(tmp_path, "--seeds", "7"), cwd=ROOT)
    assert done.returncode == 1
    assert "--seeds 7: the study has no items of these" in done.stderr
