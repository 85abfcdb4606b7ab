"""Robustness: statistics, tested prompts, cached answers, and settings of a recipe."""

import io
import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kept import value_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.robustness import Robustness, averages, robustness
from sapo_lite.recipe import EvaluationConfig, load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.report.plan_view import plan
from sapo_lite.report.run_summary import summary
from sapo_lite.run.folder import Stage
from sapo_lite.run.robustness import measure_robustness
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate, Example
from small import LAB, SETTINGS, small_run
from tiny import make_task

# --- statistics


def test_what_scores_by_prompt_come_to() -> None:
    # Deviations from 75: 5, -15, 0, 10; their squares sum to 350, over n - 1 = 3.
    assert robustness([80.0, 60.0, 75.0, 85.0], threshold=80) == Robustness(
        scores=[80.0, 60.0, 75.0, 85.0],
        mean=75.0,
        deviation=pytest.approx((350 / 3) ** 0.5),
        worst=60.0,
        best=85.0,
        share=50.0,  # the threshold itself counts
        threshold=80,
        n=4,
    )


def test_one_prompt_deviates_from_nothing() -> None:
    alone = robustness([40.0], threshold=80)
    assert (alone.mean, alone.worst, alone.best) == (40.0, 40.0, 40.0)
    assert (alone.deviation, alone.share, alone.n) == (None, 0.0, 1)


def test_equal_scores_deviate_by_nothing_at_all() -> None:
    assert robustness([100 / 3] * 7, threshold=80).deviation == 0.0


def test_averages_are_over_the_tasks_that_have_a_value() -> None:
    reports = {"a": robustness([80.0, 100.0], 80), "b": robustness([40.0], 80), "c": None}
    assert averages(reports) == {
        "mean": (90 + 40) / 2,
        "deviation": pytest.approx(200**0.5),  # of one prompt there is none
        "worst": (80 + 40) / 2,
        "best": (100 + 40) / 2,
        "share": (100 + 0) / 2,
    }
    assert averages({"c": None}) == averages({}) == {}


# --- testing, on a tiny model

CONFIG = EvaluationConfig(robustness=3, threshold=60, max_new_tokens=6, batch_size=4)
PROMPTS = [Candidate(5 + n, text, "file") for n, text in enumerate(["Judge.", "Say {which}.", "Yes or no?"])]


class Counted(PlainDisplay):
    """Keeps totals and what is done of them; interrupts after so many advances."""

    def __init__(self, interrupt_after: int = 1000) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.left, self.totals, self.done = interrupt_after, [], 0

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        self.totals.append(total)
        yield self  # type: ignore[misc]

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model(make_backbone: Callable[..., Any]) -> Any:
    return make_backbone("qwen3")


@pytest.fixture(scope="module")
def task(model: Any) -> Any:
    """Its answers are what the model says under the second prompt."""
    asked = make_task(7)
    said = [row.answer for row in evaluate(model, asked, [PROMPTS[1].text], CONFIG).rows]
    return replace(
        asked,
        test=tuple(Example(e.input, answer) for e, answer in zip(asked.test, said, strict=True)),
    )


def report(
    model: Any, task: Any, stage: Stage, prompts: Any = PROMPTS, progress: Any = None, **settings: Any
) -> Any:
    config = CONFIG.model_copy(update=settings)
    return measure_robustness(model, [task], {task.id: prompts}, config, stage, progress or Counted())


def test_each_prompt_is_tested_alone_on_all_test_examples(model: Any, task: Any, tmp_path: Path) -> None:
    found = report(model, task, Stage(tmp_path))["task195"]
    alone = [evaluate(model, task, [prompt.text], CONFIG) for prompt in PROMPTS]
    assert found.scores == [evaluation.scores["rougeL"] for evaluation in alone]
    assert found.scores[1] > 60 > max(found.scores[0], found.scores[2])
    assert (found.n, found.share, found.threshold) == (3, pytest.approx(100 / 3), 60)
    for prompt, evaluation in zip(PROMPTS, alone, strict=True):
        kept = value_of(tmp_path / f"predictions/task195-unseen-{prompt.index}.json")
        assert kept == asdict(evaluation)


def test_the_first_held_out_prompts_are_tested_as_many_as_asked_for(
    model: Any, task: Any, tmp_path: Path
) -> None:
    whole = report(model, task, Stage(tmp_path / "whole"))["task195"]
    two = report(model, task, Stage(tmp_path / "two"), robustness=2)["task195"]
    assert two.scores == whole.scores[:2]
    assert {p.name for p in (tmp_path / "two/predictions").iterdir()} == {
        "task195-unseen-5.json",
        "task195-unseen-6.json",
    }


def test_a_short_pool_is_tested_with_what_there_is_and_says_how_many(
    model: Any, task: Any, tmp_path: Path
) -> None:
    assert report(model, task, Stage(tmp_path), PROMPTS[:1])["task195"].n == 1


def test_a_task_of_which_nothing_is_held_out_is_left_out(model: Any, task: Any, tmp_path: Path) -> None:
    progress = Counted()
    assert report(model, task, Stage(tmp_path), (), progress) == {"task195": None}
    assert (progress.totals, list(tmp_path.iterdir())) == ([0], [])


def test_nothing_is_tested_unless_asked_for(model: Any, task: Any, tmp_path: Path) -> None:
    progress = Counted()
    assert report(model, task, Stage(tmp_path), PROMPTS, progress, robustness=0) == {}
    assert (progress.totals, list(tmp_path.iterdir())) == ([], [])


def test_an_interrupted_report_goes_on_with_what_is_missing_and_ends_in_the_same_bytes(
    model: Any, task: Any, tmp_path: Path
) -> None:
    whole, broken = (Stage(tmp_path / name, of="01-stars") for name in ("whole", "broken"))
    first, interrupted, rest, again = Counted(), Counted(interrupt_after=3), Counted(), Counted()
    expected = report(model, task, whole, progress=first)
    with pytest.raises(KeyboardInterrupt):
        report(model, task, broken, progress=interrupted)  # in the second prompt: 7 examples are two batches
    assert report(model, task, broken, progress=rest) == expected
    assert report(model, task, broken, progress=again) == expected
    assert [progress.totals for progress in (first, interrupted, rest, again)] == [[21], [21], [14], [0]]
    assert [progress.done for progress in (first, rest, again)] == [21, 14, 0]
    made = {p.name: p.read_bytes() for p in (tmp_path / "whole/predictions").iterdir()}
    assert made == {p.name: p.read_bytes() for p in (tmp_path / "broken/predictions").iterdir()}
    assert len(made) == 3


# --- recipes


@pytest.mark.parametrize(
    ("settings", "held_out"),
    [
        ([], 0),
        (["evaluation.robustness=5"], 5),
        (["evaluation.robustness=5", "paraphrase.held_out=8"], 8),
        (["evaluation.robustness=5", "evaluation.prompts=all"], 5),
        (["evaluation.robustness=5", "prompt.strategy=fixed"], 5),
    ],
)
def test_a_report_holds_out_the_prompts_it_needs(
    write_recipe: Callable[..., str], settings: list[str], held_out: int
) -> None:
    recipe = load_recipe(write_recipe(), settings)
    assert recipe.paraphrase.held_out == held_out
    assert recipe.paraphrase.wanted == 20 + held_out
    assert recipe.wants_candidates


COUNT = "evaluation.robustness: expected a whole number of at least 0, found"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            ["evaluation.robustness=5", "paraphrase.held_out=4"],
            "paraphrase.held_out: expected at least evaluation.robustness (5), found 4",
        ),
        (["evaluation.robustness=-1"], f"{COUNT} -1"),
        (["evaluation.robustness=true"], f"{COUNT} true"),
        (["paraphrase.held_out=4", "evaluation.robustness=many"], f'{COUNT} "many"'),
        (["evaluation.threshold=101"], "evaluation.threshold: expected a number from 0 to 100, found 101"),
        (
            ["prompt.strategy=fixed", "evaluation.robustness=2", "paraphrase.backend=file"],
            'paraphrase.path: expected a file of candidates (paraphrase.backend has "file"), found nothing',
        ),
    ],
)
def test_what_cannot_be_tested_is_refused(
    write_recipe: Callable[..., str], settings: list[str], fault: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_recipe(), settings)
    assert str(caught.value) == f"--set {settings[-1]}: {fault}"


# --- whole runs


def shown(part: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=130).print(part)
    return text.getvalue()


def planned(*settings: str, blank: bool = False) -> dict[str, str]:
    """The last column of the plan by task; `blank` takes the first task's instruction away."""
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    first, *others = load_sequence(recipe.sequence, None)
    tasks = [replace(first, instruction="") if blank else first, *others]
    rows = [line.split("  ") for line in shown(plan(recipe, tasks)).splitlines()]
    return {row[0].strip(): row[-1].strip() for row in rows if row[0].strip() in {t.name for t in tasks}}


def test_the_plan_counts_the_report() -> None:
    # 12 examples in three tests, and under each of five prompts.
    fixed = ("prompt.strategy=fixed", "evaluation.prompts=original")
    assert planned(*fixed) == {"oldest": "36", "odd_one_out": "36"}
    assert planned(*fixed, "evaluation.robustness=5") == {"oldest": "96", "odd_one_out": "96"}
    assert planned(*fixed, "evaluation.robustness=5", "paraphrase.held_out=7")["oldest"] == "96"


def test_the_plan_knows_that_a_task_without_an_instruction_has_one_wording() -> None:
    settings = ("evaluation.robustness=5", "evaluation.prompts=all")
    assert planned(*settings, blank=True) == {"oldest": "36", "odd_one_out": f"up to {12 * (2 * 3 + 1 + 5)}"}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of which the second task has two paraphrases only, where three are to be tested with."""
    root = tmp_path_factory.mktemp("robust")
    texts = {
        "oldest": [f"who is the oldest ? {word} ." for word in "one two three four five six".split()],
        "odd_one_out": ["find the item that does not fit .", "what is the odd one out ?"],
    }
    (root / "texts.json").write_text(json.dumps(texts))
    results, _ = small_run(
        root / "run",
        LAB,
        "evaluation.robustness=3",
        "evaluation.threshold=50",
        "paraphrase.backend=file",
        f"paraphrase.path={root / 'texts.json'}",
    )
    usage = {"seconds": {"evaluate": 1.0}, "peak_memory_gb": {}}
    return root / "run", shown(summary(results, usage, root))


@pytest.mark.slow
def test_results_hold_the_report_of_every_learned_task(short: tuple[Path, str]) -> None:
    results = value_of(short[0] / "results.json")
    for task, candidates in (("oldest", (4, 5, 6)), ("odd_one_out", (1, 2))):
        kept = [value_of(short[0] / f"02-odd_one_out/predictions/{task}-unseen-{n}.json") for n in candidates]
        found = results["robustness"][task]
        assert all(len(each["rows"]) == 12 for each in kept)
        assert found["scores"] == [each["scores"]["rougeL"] for each in kept]
        assert (found["n"], found["threshold"]) == (len(candidates), 50)
        assert found["deviation"] == pytest.approx(statistics.stdev(found["scores"]))
    means = [report["mean"] for report in results["robustness"].values()]
    assert results["robustness_averages"]["mean"] == pytest.approx(sum(means) / 2)
    assert "odd_one_out: 2 of the 6 paraphrases asked for; the source had no more." in results["notices"]


@pytest.mark.slow
def test_prompts_held_out_are_neither_scored_nor_trained_with(short: tuple[Path, str]) -> None:
    scored = {loss["index"] for loss in value_of(short[0] / "01-oldest/losses.json")}
    assert scored == {0, 1, 2, 3}
    # With both its paraphrases held out, nothing is left to choose from.
    assert not (short[0] / "02-odd_one_out/losses.json").exists()
    assert value_of(short[0] / "results.json")["chosen"]["odd_one_out"]["index"] == 0


@pytest.mark.slow
def test_the_summary_has_a_row_a_task_and_their_averages(short: tuple[Path, str]) -> None:
    lines = short[1].splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("robustness: ROUGE-L in percent"))
    assert lines[start].endswith("share of them at 50 or more")
    heading, *rows = [line.split() for line in lines[start + 1 : start + 5]]
    assert heading == ["task", "prompts", "mean", "deviation", "worst", "best", "share"]
    results = value_of(short[0] / "results.json")
    expected = [*results["robustness"].items(), ("average", results["robustness_averages"])]
    for row, (name, values) in zip(rows, expected, strict=True):
        counted = [str(values["n"])] if "n" in values else []
        assert row == [name, *counted, *(f"{values[key]:.1f}" for key in heading[2:])]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lorainc", "joint", "zero"])
def test_the_plan_counts_the_answers_of_a_run(tmp_path: Path, method: str) -> None:
    # With this seed, neither task draws its original wording.
    settings = ("seed=2", "prompt.strategy=random", "evaluation.prompts=all", "evaluation.robustness=2")
    settings += ("paraphrase.count=2", "training.epochs=1", f"adapter.method={method}")
    results, _ = small_run(tmp_path / "run", *settings)
    assert all(candidate.index for candidate in results.chosen.values())
    answered: Counter[str] = Counter()
    for path in (tmp_path / "run").glob("*/predictions/*.json"):
        answered[path.name.split("-")[0]] += len(value_of(path)["rows"])
    chosen = "" if method == "zero" else "up to "
    assert planned(*settings) == {task: f"{chosen}{count}" for task, count in answered.items()}
    last = {"lorainc": "02-odd_one_out", "joint": "01-joint", "zero": "00-zero-shot"}[method]
    reported = {path.parts[-3] for path in (tmp_path / "run").glob("*/predictions/*-unseen-*.json")}
    assert reported == {last}
    assert {task: report.n for task, report in results.robustness.items() if report} == {
        "oldest": 2,
        "odd_one_out": 2,
    }


@pytest.mark.slow
def test_the_untrained_backbone_is_reported_with_the_adapter_zero(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path / "run", "adapter.method=zero", "evaluation.robustness=2")
    assert results.chosen == {}
    assert set(results.robustness) == {"oldest", "odd_one_out"}
    assert "prompts trained with" not in shown(
        summary(results, {"seconds": {}, "peak_memory_gb": {}}, tmp_path)
    )
