"""A whole run: results, files, output, and refusals."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from forked import run_program
from kept import put, value_of
from sapo_lite import load_recipe, read_results, run_recipe
from sapo_lite.data.check.finding import Finding
from sapo_lite.errors import RunFolderError, SapoLiteError
from sapo_lite.evaluation.continual import ContinualMetrics, continual_metrics
from sapo_lite.run.context import stage_seed
from sapo_lite.run.folder import RunFolder, choose_folder
from sapo_lite.run.results import Results
from sapo_lite.support.shipped import shipped
from small import LAB, SETTINGS, call, change_weights, small_command, small_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "small"
    small_run(out, LAB)
    return out


def read(path: Path) -> dict:
    return value_of(path)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_writes_what_it_says_it_writes(finished: Path) -> None:
    written = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    stage = {"losses.json", "stage.json"}
    adapter = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    assert written >= {"recipe.json", "environment.json", "results.json", "usage.json"}
    assert written >= {"candidates/oldest.json", "candidates/odd_one_out.json"}
    assert written >= {"00-zero-shot/stage.json", "00-zero-shot/predictions/oldest-original.json"}
    for folder in ("01-oldest", "02-odd_one_out"):
        assert written >= {f"{folder}/{name}" for name in stage | adapter}
    assert not [name for name in written if "checkpoint" in name or "partial" in name]


@pytest.mark.slow
def test_sapo_trains_with_the_candidate_of_lowest_token_mean_loss(finished: Path) -> None:
    losses = read(finished / "01-oldest/losses.json")
    means = [sum(loss["nll_sum"]) / sum(loss["tokens"]) for loss in losses]
    selection = read(finished / "01-oldest/stage.json")["choices"]["oldest"]
    assert len(means) == 4
    assert all(len(loss["nll_sum"]) == 16 for loss in losses)
    assert selection["chosen"]["index"] == means.index(min(means))
    assert selection["loss"] == pytest.approx(min(means), rel=1e-12)
    assert selection["original_loss"] == pytest.approx(means[0], rel=1e-12)


@pytest.mark.slow
def test_a_race_marks_dropped_candidates_and_the_lead_has_an_interval(tmp_path: Path) -> None:
    # 64 examples make two rounds.
    small_run(
        tmp_path / "run",
        "sequence.tasks=['mood']",
        "sequence.train_examples=64",
        "scoring.score_examples=64",
        "paraphrase.count=12",
        "training.epochs=1",
        "evaluation.prompts=original",
    )
    losses = read(tmp_path / "run/01-mood/losses.json")
    lengths = {len(loss["examples"]) for loss in losses}
    assert lengths == {32, 64}
    for loss in losses:
        assert len(loss["nll_sum"]) == len(loss["tokens"]) == len(loss["examples"])
        assert loss["partial"] == (len(loss["examples"]) < 64)
        assert loss["total"] == 64
    selection = read(tmp_path / "run/01-mood/stage.json")["choices"]["mood"]
    certainty = selection["certainty"]
    for name, index in (("", selection["chosen"]["index"]), ("original_", 0)):
        measured = next(loss for loss in losses if loss["index"] == index)
        assert selection[f"{name}partial"] == measured["partial"]
        assert selection[f"{name}examples_scored"] == len(measured["examples"])
    assert certainty == read(tmp_path / "run/results.json")["certainty"]["mood"]
    assert certainty["runner_up"]["mean"] < 0
    assert certainty["runner_up"]["examples"] in lengths


@pytest.mark.slow
def test_the_mean_of_batch_means_is_over_all_examples_in_the_order_of_the_file(tmp_path: Path) -> None:
    settings = ["scoring.reduction=batch_mean", "scoring.score_examples=12", "training.epochs=1"]
    small_run(tmp_path / "run", *settings)
    losses = read(tmp_path / "run/01-oldest/losses.json")

    def batch_mean(nll: list[float], tokens: list[int]) -> float:
        first, second = (sum(nll[b]) / sum(tokens[b]) for b in (slice(0, 8), slice(8, 12)))
        return (8 * first + 4 * second) / 12

    assert all(loss["examples"] == list(range(12)) and not loss["partial"] for loss in losses)
    means = [batch_mean(loss["nll_sum"], loss["tokens"]) for loss in losses]
    selection = read(tmp_path / "run/01-oldest/stage.json")["choices"]["oldest"]
    assert selection["chosen"]["index"] == means.index(min(means))
    assert selection["loss"] == pytest.approx(min(means), rel=1e-12)


def test_results_hold_the_metrics_of_the_matrices_they_hold(finished: Path) -> None:
    results = read(finished / "results.json")
    for kind in ("chosen", "original"):
        for metric, r in results["matrices"][kind].items():
            assert [len(row) for row in r] == [2, 2, 2]
            expected = continual_metrics(r)
            found = results["metrics"][kind][metric]
            assert (found["ap"], found["bwt"], found["fwt"]) == (expected.ap, expected.bwt, expected.fwt)


def test_a_row_of_r_holds_the_scores_of_the_kept_predictions(finished: Path) -> None:
    results = read(finished / "results.json")
    for kind in ("chosen", "original"):
        predictions = read(finished / f"02-odd_one_out/predictions/oldest-{kind}.json")
        assert len(predictions["rows"]) == 12
        assert results["matrices"][kind]["rougeL"][2][0] == predictions["scores"]["rougeL"]


def test_tasks_still_to_come_are_tested_with_their_original_instruction(finished: Path) -> None:
    names = {path.name for path in (finished / "01-oldest/predictions").iterdir()}
    assert names == {"oldest-chosen.json", "oldest-original.json", "odd_one_out-original.json"}


def test_a_finished_run_is_read_back_and_not_run_again(finished: Path) -> None:
    first, before = read(finished / "results.json"), times(finished)
    results, shown = small_run(finished, LAB)
    assert json.loads(json.dumps(asdict(results))) == first
    assert shown == ""
    lock = finished / ".lock"  # this process holds the folder; `sapo-lite run` does not even lock it
    assert {p: t for p, t in times(finished).items() if p != lock} == {
        p: t for p, t in before.items() if p != lock
    }


@pytest.mark.slow
def test_a_finished_run_prints_the_same_summary_without_torch_and_touches_nothing(tmp_path: Path) -> None:
    settings = ("sequence.tasks=['oldest']", "prompt.strategy=fixed", "training.epochs=1")
    arguments = small_command(tmp_path / "run", *settings)
    first = run_program(arguments)
    assert first.returncode == 0, first.stderr
    before = times(tmp_path / "run")
    no_torch = "import sys; sys.modules['torch'] = None; from sapo_lite.cli import main; main()"
    again = call([arguments[0], "-c", no_torch, *arguments[2:]])
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    assert times(tmp_path / "run") == before
    other = run_program([*arguments, "--set", "seed=7"])
    assert (other.returncode, other.stdout) == (1, "")
    assert "seed: 0 in the run, 7 in the recipe" in other.stderr


@pytest.mark.slow
def test_a_run_from_python_notices_by_warnings_and_is_read_once_it_is_finished(tmp_path: Path) -> None:
    own = ("sequence.tasks=['oldest']", "prompt.strategy=fixed", "training.epochs=1")
    recipe = load_recipe("lab", [*SETTINGS, *own, "scoring.score_examples=80"])
    with pytest.warns(UserWarning, match="score_examples is 32 instead of 80"):
        results = run_recipe(recipe, tmp_path / "run")
    before = times(tmp_path / "run")
    assert run_recipe(recipe, str(tmp_path / "run")) == read_results(tmp_path / "run") == results
    assert times(tmp_path / "run") == before


@pytest.mark.slow
def test_the_record_of_a_finished_stage_is_read_when_a_run_goes_on(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    whole = (out / "results.json").read_bytes()
    (out / "results.json").unlink()
    record = read(out / "01-oldest/stage.json")
    small_run(out, LAB)
    assert (out / "results.json").read_bytes() == whole
    record["choices"]["oldest"]["chosen"]["index"] = 9
    put(out / "01-oldest/stage.json", record)
    (out / "results.json").unlink()
    with pytest.raises(RunFolderError, match="as the choice of oldest, found #9"):
        small_run(out, LAB)


def test_another_recipe_is_refused_and_the_difference_named(finished: Path) -> None:
    with pytest.raises(RunFolderError) as refusal:
        small_run(finished, LAB, "training.epochs=5", "adapter.method=olora")
    assert "training.epochs: 2 in the run, 5 in the recipe" in str(refusal.value)
    assert 'adapter.method: "lorainc" in the run, "olora" in the recipe' in str(refusal.value)


def test_changed_data_is_refused_and_the_task_named(finished: Path) -> None:
    recipe = read(finished / "recipe.json")
    recipe["data"]["oldest"] = "0" * 64
    changed = finished.parent / "changed"
    changed.mkdir()
    put(changed / "recipe.json", recipe)
    with pytest.raises(RunFolderError, match="the data of oldest has changed"):
        small_run(changed, LAB)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with RunFolder(tmp_path), pytest.raises(RunFolderError, match="is in use by another sapo-lite process"):
        RunFolder(tmp_path).__enter__()


def test_a_new_folder_in_which_no_run_was_begun_is_removed(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "new") as folder:
        (folder.path / "log.txt").touch()
    assert not (tmp_path / "new").exists()


def test_what_killed_processes_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = [
        ".usage.json.4711",
        "00-zero-shot/predictions/.yes-chosen.json.9",
        ".01-yes.partial/losses.json",
        ".candidates.partial/yes.json",
        "01-no/.losses-no.json.partial",
        "01-no/adapter.partial/adapter_config.json",
    ]
    kept = ["recipe.json", "usage.json.4711", ".usage.json.bak", ".mine.partial", "01-no/adapter/weights"]
    for name in [*left, *kept]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with RunFolder(tmp_path):
        found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {*kept, ".lock"}
    assert not [p for p in tmp_path.rglob("*.partial") if p.name != ".mine.partial"]


def test_fresh_discards_what_a_run_makes_and_nothing_else(tmp_path: Path) -> None:
    for folder in ("01-a/predictions", "candidates", "sub", "100-b"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("recipe.json", "results.json", "chat.json", "log.txt", "thesis.tex", "sub/recipe.json"):
        (tmp_path / file).write_text("{}")
    (tmp_path / "02-c").symlink_to(tmp_path / "sub")
    with RunFolder(tmp_path, fresh=True) as folder:
        folder.empty()
        assert {p.name for p in tmp_path.iterdir()} == {".lock", "log.txt", "thesis.tex", "sub"}
    assert (tmp_path / "sub/recipe.json").exists()


def test_fresh_discards_no_run_for_one_that_cannot_begin(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))

    def content() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}

    before = content()
    nowhere = load_recipe("lab", [*SETTINGS, f"model.name={tmp_path}/slip"])
    with pytest.raises(SapoLiteError, match="No model at"):
        run_recipe(nowhere, run, fresh=True)
    with pytest.raises(SapoLiteError, match="no such folder"):
        run_recipe(load_recipe("lab", [*SETTINGS, LAB]), run, data=tmp_path / "slip", fresh=True)
    assert content() == before


@pytest.mark.parametrize("content", ["{}", '{"title": "soup"}', "[1]", "soup"])
def test_fresh_takes_no_folder_with_a_recipe_of_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(
        RunFolderError, match=r"recipe\.json is not that of a run, so --fresh discards nothing"
    ):
        choose_folder("lab", tmp_path, resume=False)


def test_fresh_takes_a_run_folder_whose_recipe_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"format": 2, "reci')
    (tmp_path / "00-zero-shot").mkdir()
    assert choose_folder("lab", tmp_path, resume=False) == tmp_path


def test_a_run_killed_while_it_starts_leaves_a_folder_that_is_taken(tmp_path: Path) -> None:
    for name in (".lock", "log.txt", ".recipe.json.4711"):
        (tmp_path / name).touch()
    assert choose_folder("lab", tmp_path, resume=None) == tmp_path


def test_a_folder_of_something_else_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        choose_folder("lab", tmp_path, resume=False)


def test_resume_takes_the_latest_run_of_that_name_only(tmp_path: Path) -> None:
    for name in (
        "lab-20260101-000000",
        "lab-20260102-000000",
        "lab_long-20260103-000000",
        "lab-2-20260104-000000",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.json").write_text("{}")
    found = choose_folder("lab", None, resume=True, parent=tmp_path)
    assert found.name == "lab-20260102-000000"
    with pytest.raises(RunFolderError, match="Nothing to resume: no run of trace in"):
        choose_folder("trace", None, resume=True, parent=tmp_path)
    (tmp_path / "lab-20260102-000000/results.json").touch()  # finished while the clock was ahead
    assert choose_folder("lab", None, resume=True, parent=tmp_path).name == "lab-20260101-000000"


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, str]:
    """A run of one task with its original instruction; asks for more examples to score than there are."""
    out = tmp_path_factory.mktemp("runs") / "fixed"
    settings = (LAB, "prompt.strategy=fixed", "sequence.tasks=['oldest']", "training.epochs=1")
    return out, *small_run(out, *settings, "scoring.score_examples=80")


@pytest.mark.slow
def test_fixed_paraphrases_and_scores_nothing(fixed: tuple[Path, Results, str]) -> None:
    out, results, shown = fixed
    assert results.chosen["oldest"].index == 0
    assert "paraphrasing" not in shown
    assert "· scoring" not in shown
    assert not (out / "candidates").exists()
    assert not (out / "01-oldest/losses.json").exists()
    final = results.matrices["chosen"]["rougeL"][1][0]
    assert results.metrics["chosen"]["rougeL"] == ContinualMetrics(final, bwt=None, fwt=None)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("first", 0), ("same", 0), ("other", 1)):
        small_run(tmp_path / name, f"seed={seed}")
    for file in (
        "02-odd_one_out/adapter/adapter_model.safetensors",
        "02-odd_one_out/predictions/oldest-chosen.json",
        "results.json",
    ):
        first, same, other = ((tmp_path / name / file).read_bytes() for name in ("first", "same", "other"))
        assert first == same != other, file


@pytest.mark.slow
def test_evaluation_prompts_decides_which_matrices_there_are(tmp_path: Path) -> None:
    one_task = ("sequence.tasks=['oldest']", "training.epochs=1")
    results, _ = small_run(tmp_path, "evaluation.prompts=chosen", *one_task)
    assert list(results.matrices) == ["chosen"]
    assert {p.name for p in (tmp_path / "00-zero-shot/predictions").iterdir()} == {"oldest-original.json"}


# --- tasks whose ids begin alike


def say_it(root: Path, *names: str) -> tuple[str, ...]:
    """A suite of tasks that ask for one word, which ends their names; the settings of a run of them.

    It is called `lab`, so that its rows keep their order: a draw depends on the name of the task.
    """
    index = {}
    for name in names:
        word = name.split("_")[-1]
        rows = [{"sentence": f"the {n} stars", "label": word} for n in range(16)]
        (root / "lab" / name).mkdir(parents=True)
        for split in ("train", "test"):
            (root / "lab" / name / f"{split}.json").write_text(json.dumps(rows), encoding="utf-8")
        index[name] = {"instruction": f"say {word} .", "suffix": "answer :", "labels": [word]}
    (root / "lab/instructions.json").write_text(json.dumps(index), encoding="utf-8")
    return (
        LAB,
        "sequence.suite=lab",
        f"sequence.data={root}",
        f"sequence.tasks={json.dumps(names)}",
        "sequence.train_examples=16",
        "sequence.test_examples=8",
        "paraphrase.backend=builtin",
        "training.epochs=6",
        "training.learning_rate=4e-3",
    )


ORIGINAL = ("prompt.strategy=fixed", "paraphrase.held_out=1", "evaluation.robustness=1")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What a run finds whose tasks are called yes and no."""
    folder = tmp_path_factory.mktemp("short")
    return small_run(folder / "run", *say_it(folder, "yes", "no"), *ORIGINAL)[0]


@pytest.mark.slow
@pytest.mark.parametrize("names", [("task_yes", "task_no"), ("task7_yes", "task7_no")])
def test_r_is_the_same_whatever_tasks_are_called(
    tmp_path: Path, names: tuple[str, ...], short: Results
) -> None:
    long, shown = small_run(tmp_path / "long", *say_it(tmp_path, *names), *ORIGINAL)
    assert long.matrices == short.matrices
    before, first, second = long.matrices["original"]["rougeL"]
    assert (first, second) == ([100.0, 0.0], [0.0, 100.0])
    assert before[0] != before[1]
    assert long.tasks == long.lessons == list(names)
    assert list(long.chosen) == list(long.certainty) == list(long.robustness) == list(names)
    assert names[1] in shown


@pytest.mark.slow
def test_of_tasks_learned_together_each_has_files_of_its_own(tmp_path: Path) -> None:
    settings = say_it(tmp_path / "data", "task7_yes", "task7_no")
    joint = ("adapter.method=joint", "training.epochs=1", "scoring.race=false", "paraphrase.backend=builtin")
    small_run(tmp_path / "run", *settings, *joint)
    stage = tmp_path / "run/01-joint"
    yes, no = (read(stage / f"losses-task7_{word}.json") for word in ("yes", "no"))
    assert yes != no
    assert list(read(stage / "stage.json")["choices"]) == ["task7_yes", "task7_no"]
    chosen = read(tmp_path / "run/results.json")["chosen"]
    assert [word in chosen[f"task7_{word}"]["text"] for word in ("yes", "no")] == [True, True]


# --- what was read has changed


def own_model(folder: Path) -> str:
    """The lab's backbone in a folder of the user's; the setting that names it."""
    shutil.copytree(shipped("data") / "backbones/lab", folder)
    return f"model.name={folder}"


@pytest.mark.slow
def test_a_run_of_other_weights_or_candidates_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mine.toml"
    file.write_text("oldest = ['who is the oldest ?']")
    settings = (
        own_model(tmp_path / "model"),
        "sequence.tasks=['oldest']",
        "paraphrase.backend=file",
        f"paraphrase.path={file}",
        "training.epochs=1",
    )
    first, _ = small_run(tmp_path / "run", *settings)
    assert small_run(tmp_path / "run", *settings)[0] == first
    file.write_text("oldest = ['who of them is the oldest ?']")
    with pytest.raises(RunFolderError) as refused:
        small_run(tmp_path / "run", *settings)
    assert f"\n  the file of candidates {file} has changed (content)\n" in str(refused.value)
    file.write_text("oldest = ['who is the oldest ?']")
    change_weights(tmp_path / "model")
    with pytest.raises(RunFolderError) as refused:
        small_run(tmp_path / "run", *settings)
    assert f"\n  the model {tmp_path / 'model'} has changed (model.safetensors)\n" in str(refused.value)
    assert small_run(tmp_path / "another", *settings)[0].matrices != first.matrices


@pytest.mark.slow
def test_a_run_says_at_the_start_and_in_its_results_what_was_lowered(
    fixed: tuple[Path, Results, str],
) -> None:
    out, results, shown = fixed
    notice = "scoring.score_examples is 32 instead of 80: sequence.train_examples is 32"
    assert shown.startswith(f"note: {notice}\n")
    found = "12 test examples: a score is known to ±28.3 points at worst (95 % interval)"
    assert f"note: oldest: {found}\n" in shown[: shown.index("== ")]
    numbers = {"rows": 12, "half_width": 28.3}
    assert results.findings == [Finding("oldest", "small test", "test", found, numbers, "caution")]
    assert results.notices == [notice]
    assert read(out / "results.json")["notices"] == [notice]
    assert read(out / "recipe.json")["recipe"]["scoring"]["score_examples"] == 32


def test_seeds_of_any_size_are_seeds_of_stages_and_no_two_are_equal() -> None:
    seeds = [0, 7, 4_294_966, 4_294_968, 20_261_126, 10**20]
    recipes = [load_recipe("lab", [f"seed={seed}"]) for seed in seeds]
    stages = [stage_seed(recipe, number) for recipe in recipes for number in range(1, 6)]
    assert max(stages) < 2**32
    assert len(set(stages)) == len(stages)
    assert stages[5:10] == [7001, 7002, 7003, 7004, 7005]


@pytest.mark.slow
def test_a_run_with_a_seed_beyond_32_bits_ends(tmp_path: Path) -> None:
    settings = ["sequence.tasks=['oldest']", "training.epochs=1", "prompt.strategy=random", f"seed={10**20}"]
    results, _ = small_run(tmp_path / "run", *settings)
    assert results.seed == 10**20
