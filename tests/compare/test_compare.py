"""Comparison of finished runs: groups, refusals, findings, and output formats."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from scipy import stats

from forked import run_program
from kept import put, value_of
from made_runs import made_run, made_runs, two_tasks
from sapo_lite.compare.comparison import TIME, Comparison, compare_folders
from sapo_lite.compare.findings import Finding, statement
from sapo_lite.compare.reuse import copy_pieces
from sapo_lite.compare.statistics import holm
from sapo_lite.compare.times import seconds_alone
from sapo_lite.errors import RecipeError, RunFolderError
from sapo_lite.evaluation.robustness import averages, robustness
from sapo_lite.report.comparison_view import as_markdown, as_text
from sapo_lite.report.export import as_csv, as_json, write_comparison
from sapo_lite.report.latex import as_latex, escaped
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.stage_folder import Stage, StageRecord
from small import command

FIXED, SAPO = [40.0, 50.0, 45.0, 60.0], [55.0, 62.0, 61.0, 72.0]


def compared(*folders: Path) -> Comparison:
    return compare_folders(folders, None)


def finding(comparison: Comparison, label: str, metric: str) -> Finding:
    (found,) = (one for one in comparison.shown if (one.group.label, one.metric) == (label, metric))
    return found


def shown(comparison: Comparison) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(as_text(comparison))
    return console.file.getvalue()  # type: ignore[attr-defined]


# --- what is found


def test_metrics_are_those_of_the_matrix(tmp_path: Path) -> None:
    r = [[10.0, 20.0], [80.0, 30.0], [60.0, 90.0]]
    comparison = compared(made_run(tmp_path / "run", r))
    means = {one.metric: one.over_seeds.mean for one in comparison.shown if one.over_seeds}
    assert means == {"AP": 75.0, "BWT": -20.0, "FWT": 10.0, "in-task": 85.0, "retention": 75.0}


def test_as_a_table_of_pandas_it_has_the_metrics_of_every_run(tmp_path: Path) -> None:
    runs = made_runs(tmp_path / "a", {"fixed": FIXED, "sapo": SAPO})
    zero = made_run(tmp_path / "zero", [[1.0, 3.0]], adapter="zero", seed=2)
    rows = compared(*runs, zero).to_pandas()
    ap = rows[(rows.metric == "AP") & (rows.kind == "chosen")]
    table = ap.pivot(index="seed", columns=["strategy", "adapter"], values="value")
    assert table["fixed", "lorainc"].tolist() == FIXED
    assert table["sapo", "lorainc"].tolist() == SAPO
    assert table["-", "zero"].dropna().to_dict() == {2: 2.0}
    assert rows[(rows.adapter == "zero") & (rows.metric == "BWT")].value.isna().all()
    assert set(rows.kind) == {"chosen", "original"}


def test_means_deviations_and_paired_differences_are_those_of_scipy(tmp_path: Path) -> None:
    comparison = compared(*made_runs(tmp_path, {"fixed": FIXED, "sapo": SAPO}))
    base, sapo = (finding(comparison, f"{s} on lorainc", "AP") for s in ("fixed", "sapo"))
    assert base.over_seeds is not None
    assert base.difference is None
    assert base.over_seeds.mean == pytest.approx(48.75)
    assert base.over_seeds.deviation == pytest.approx(stats.tstd(FIXED))
    test = stats.ttest_rel(SAPO, FIXED)
    interval = test.confidence_interval(0.95)
    found = sapo.difference
    assert found is not None
    assert (found.mean, found.n) == (pytest.approx(13.75), 4)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, test.pvalue))


def test_p_values_are_corrected_for_all_comparisons_of_the_table(tmp_path: Path) -> None:
    runs = made_runs(tmp_path, {"fixed": FIXED, "sapo": SAPO, "worst": [39.0, 52.0, 44.0, 57.0]})
    comparison = compared(*runs)
    tested = [one for one in comparison.shown if one.difference]
    assert [one.metric for one in tested] == ["AP", "BWT", "FWT", "in-task", "retention"] * 2
    raw = [one.difference.p for one in tested if one.difference and one.difference.p is not None]
    assert [one.p for one in tested if one.p is not None] == holm(raw)
    assert len(raw) == 6  # BWT and FWT are equal in all runs


def test_seeds_are_paired_where_both_have_them(tmp_path: Path) -> None:
    runs = made_runs(tmp_path, {"fixed": FIXED, "sapo": SAPO})
    comparison = compared(*runs[1:])  # the baseline lacks seed 0
    sapo = finding(comparison, "sapo on lorainc", "AP")
    assert sapo.over_seeds is not None
    assert sapo.difference is not None
    assert (sapo.over_seeds.n, sapo.difference.n) == (4, 3)
    assert sapo.difference.mean == pytest.approx((12 + 16 + 12) / 3)
    rows = [line.split() for line in shown(comparison).splitlines() if line.startswith("sapo on")]
    assert {row[-1] for row in rows} == {"3"}


def test_what_is_significant_is_marked_and_said_in_one_sentence(tmp_path: Path) -> None:
    comparison = compared(*made_runs(tmp_path, {"fixed": FIXED, "sapo": SAPO}))
    said = statement(comparison.shown)
    assert re.fullmatch(
        r"Significant \(p < 0.05 after Holm's correction for 3 comparisons\): AP of sapo on lorainc 13.8 "
        r"above fixed on lorainc \(95 % \+10.5 to \+17.0, 4 seeds\); in-task of sapo on lorainc .*\.",
        said,
    )
    text = shown(comparison)
    assert "62.5 ± 7.0*" in text
    assert "+13.8*" in text
    assert said in " ".join(text.split())


def test_a_difference_of_bwt_is_never_said_without_those_of_in_task_and_retention(tmp_path: Path) -> None:
    """sapo "forgets less" by 23 points, of a first task that it has learned to 30 percent instead of 83."""
    runs = [
        made_run(tmp_path / f"{strategy}-{seed}", two_tasks(ap + seed, bwt), strategy=strategy, seed=seed)
        for seed in range(4)
        for strategy, ap, bwt in (("fixed", 50.0, -30.0 - seed), ("sapo", 20.0, -10.0 + seed))
    ]
    said = statement(compared(*runs).shown)
    assert re.search(
        r"BWT of sapo on lorainc 23\.0 above fixed on lorainc \(95 % [^;]*, 4 seeds; "
        r"in-task 41\.5 below, retention 9\.6 above\)",
        said,
    ), said


def test_tasks_that_are_not_in_the_retention_are_counted(tmp_path: Path) -> None:
    unlearned = [[0.0, 0.0], [0.0, 0.0], [10.0, 50.0]]
    comparison = compared(
        made_run(tmp_path / "fixed", unlearned, original=two_tasks(50.0)),
        made_run(tmp_path / "sapo", two_tasks(50.0), strategy="sapo"),
    )
    said = "Retention leaves out tasks with R[j,j] = 0: 1 of fixed on lorainc."
    assert said in shown(comparison)
    assert as_markdown(comparison).count(said) == 1  # under the chosen prompts alone
    assert finding(comparison, "fixed on lorainc", "retention").over_seeds is None
    assert as_json(comparison)["runs"][0]["retention_left_out"] == {"chosen": 1, "original": 0}


def test_where_nothing_stands_out_that_is_said(tmp_path: Path) -> None:
    comparison = compared(*made_runs(tmp_path, {"fixed": FIXED, "sapo": [41.0, 47.0, 46.0, 61.5]}))
    assert statement(comparison.shown).startswith("No difference is significant (p < 0.05 after Holm's")
    assert "*" not in shown(comparison).replace("* significant", "")


def test_one_seed_tests_nothing_and_neither_do_equal_differences(tmp_path: Path) -> None:
    said = "Nothing was tested: that takes at least two seeds, with differences that are not all the same."
    single = compared(*made_runs(tmp_path / "1", {"fixed": [40.0], "sapo": [70.0]}))
    assert statement(single.shown) == said
    equal = compared(*made_runs(tmp_path / "2", {"fixed": [40.0, 50.0], "sapo": [41.0, 51.0]}))
    found = finding(equal, "sapo on lorainc", "AP")
    assert found.difference is not None
    assert (found.difference.mean, found.difference.low, found.p) == (1.0, None, None)


def test_differences_that_are_0_in_all_seeds_are_not_counted_by_holm(tmp_path: Path) -> None:
    """The same results under another name are no test: they would raise the p-values of the others."""
    pair = {"fixed": FIXED, "sapo": SAPO}
    alone = compared(*made_runs(tmp_path / "two", pair))
    with_same = compared(*made_runs(tmp_path / "three", {**pair, "random": FIXED}))
    same = finding(with_same, "random on lorainc", "AP")
    assert same.difference is not None
    assert (same.difference.mean, same.difference.low, same.p) == (0.0, 0.0, None)
    for metric in ("AP", "BWT", "FWT", "retention"):
        label = "sapo on lorainc"
        assert finding(with_same, label, metric).p == finding(alone, label, metric).p
    assert "for 3 comparisons" in statement(with_same.shown)  # BWT and FWT are equal everywhere


def test_one_strategy_is_compared_with_the_first_group(tmp_path: Path) -> None:
    runs = made_runs(tmp_path, {"sapo": SAPO}) + made_runs(tmp_path, {"sapo": FIXED}, adapter="olora")
    found = finding(compared(*runs), "sapo on olora", "AP")
    assert found.baseline is not None
    assert found.baseline.label == "sapo on lorainc"


def test_joint_and_zero_show_dashes_for_what_they_have_not(tmp_path: Path) -> None:
    made_runs(tmp_path, {"fixed": FIXED[:2]})
    made_run(tmp_path / "joint", [[0.0, 0.0], [80.0, 90.0]], adapter="joint")
    made_run(tmp_path / "zero", [[5.0, 6.0]], adapter="zero", strategy="sapo")
    comparison = compared(*sorted(tmp_path.iterdir()))
    rows = {tuple(line.split()[:2]): line.split() for line in shown(comparison).splitlines() if line}
    assert rows["fixed", "joint"][3:7] == ["85.0", "-", "-", "-"]
    assert rows["-", "zero"][3:7] == ["5.5", "-", "-", "-"]
    zero = finding(comparison, "zero", "AP")
    assert zero.baseline is not None
    assert zero.baseline.label == "fixed on lorainc"


def test_robustness_is_shown_where_runs_have_measured_it(tmp_path: Path) -> None:
    by_task = {"stars": robustness([70.0, 10.0], 50.0), "mood": robustness([90.0, 30.0], 50.0)}
    measured = {"robustness": by_task, "robustness_averages": averages(by_task)}
    comparison = compared(made_run(tmp_path / "a", two_tasks(50.0), more=measured))
    means = {one.metric: one.over_seeds.mean for one in comparison.shown if one.over_seeds}
    assert (means["held-out mean"], means["held-out worst"]) == (50.0, 20.0)
    without = {"robustness": {"stars": None}}
    other = compared(made_run(tmp_path / "b", two_tasks(50.0), more=without))
    assert "held-out mean" not in other.metrics


# --- groups


def test_settings_that_differ_are_part_of_the_labels(tmp_path: Path) -> None:
    made_runs(tmp_path / "a", {"fixed": FIXED, "sapo": SAPO})
    made_runs(tmp_path / "b", {"fixed": SAPO, "sapo": FIXED}, "training.epochs=9")
    comparison = compared(*sorted(tmp_path.glob("?/*")))
    assert [group.label for group in comparison.groups] == [
        "fixed on lorainc, training.epochs = 3",
        "sapo on lorainc, training.epochs = 3",
        "fixed on lorainc, training.epochs = 9",
        "sapo on lorainc, training.epochs = 9",
    ]
    assert all(len(group.runs) == 4 for group in comparison.groups)
    found = finding(comparison, "sapo on lorainc, training.epochs = 9", "AP")
    assert found.baseline is not None
    assert found.baseline.label == "fixed on lorainc, training.epochs = 9"
    assert "training.epochs = 9" in shown(comparison)
    assert "training.epochs" not in comparison.settings


def test_rewriting_is_no_setting_of_its_own_where_it_is_the_strategy(tmp_path: Path) -> None:
    runs = made_runs(tmp_path / "a", {"fixed": FIXED, "rewrite": SAPO})
    comparison = compared(*runs)
    assert [group.label for group in comparison.groups] == ["fixed on lorainc", "rewrite on lorainc"]
    more = made_runs(tmp_path / "b", {"sapo": SAPO}, "rewrite.enabled=true")
    assert "sapo on lorainc, rewrite.enabled = true" in [g.label for g in compared(*runs, *more).groups]


def test_a_baseline_of_other_settings_is_better_than_none(tmp_path: Path) -> None:
    runs = made_runs(tmp_path / "a", {"fixed": FIXED})
    runs += made_runs(tmp_path / "b", {"paft": SAPO}, "paraphrase.held_out=3")
    found = finding(compared(*runs), "paft on lorainc, paraphrase.held_out = 3", "AP")
    assert found.baseline is not None
    assert found.baseline.label == "fixed on lorainc, paraphrase.held_out = 0"


def test_a_run_that_is_named_twice_is_one(tmp_path: Path) -> None:
    run = made_run(tmp_path / "a", two_tasks(50.0))
    assert [len(group.runs) for group in compared(run, run).groups] == [1]


def test_seeds_may_draw_tasks_and_data_if_all_do(tmp_path: Path) -> None:
    for seed, order in enumerate(('["stars", "mood"]', '["mood", "stars"]')):
        for strategy in ("fixed", "sapo"):
            made_run(
                tmp_path / f"{strategy}-{seed}",
                two_tasks(50.0 + seed),
                f"sequence.draw={seed}",
                f"sequence.tasks={order}",
                strategy=strategy,
                seed=seed,
                data=dict.fromkeys(json.loads(order), f"data of seed {seed}"),
            )
    comparison = compared(*sorted(tmp_path.iterdir()))
    assert [sorted(group.runs) for group in comparison.groups] == [[0, 1], [0, 1]]


def test_runs_that_had_other_candidates_are_told(tmp_path: Path) -> None:
    pools = {"fixed": None, "sapo": ["one", "two"], "worst": ["one", "two"], "paft": ["one", "three"]}
    runs = made_runs(tmp_path, {strategy: [40.0, 50.0] for strategy in pools})
    for run in runs:
        strategy, _, seed = run.name.split("-")
        if texts := pools[strategy]:
            (run / "candidates").mkdir()
            content = {"candidates": [{"text": text} for text in (texts if seed == "1" else ["one"])]}
            put(run / "candidates/stars.json", content)
    said = "Not all runs had the same candidates to choose from: seed 1."
    assert said in shown(compared(*runs))
    assert compared(*runs[:6]).notes == [TIME]


# --- refusals


def refusal(*folders: Path) -> list[str]:
    with pytest.raises(RunFolderError) as refused:
        compared(*folders)
    return str(refused.value).splitlines()


def test_runs_that_are_not_finished_are_refused_all_at_once(tmp_path: Path) -> None:
    fine = made_run(tmp_path / "fine", two_tasks(50.0))
    unfinished = made_run(tmp_path / "unfinished", two_tasks(50.0), seed=1)
    (unfinished / "results.json").unlink()
    (tmp_path / "thesis").mkdir()
    expected = "expected the folder of a finished run or of a comparison, found"
    assert refusal(fine, unfinished, tmp_path / "thesis", tmp_path / "nowhere") == [
        f"{unfinished}: expected a finished run, found an unfinished one; finish it first",
        f"{tmp_path / 'thesis'}: {expected} a folder of something else",
        f"{tmp_path / 'nowhere'}: {expected} no such folder",
    ]


def test_runs_that_cannot_be_compared_are_refused_and_each_is_told_why(tmp_path: Path) -> None:
    first = made_run(tmp_path / "first", two_tasks(50.0))
    three = made_run(tmp_path / "three", [[0.0] * 3] * 4, 'sequence.tasks=["stars", "mood", "oldest"]')
    turned = made_run(tmp_path / "turned", two_tasks(50.0), 'sequence.tasks=["mood", "stars"]')
    changed = made_run(tmp_path / "changed", two_tasks(50.0), data={"stars": "data", "mood": "other"})
    tested = made_run(tmp_path / "tested", two_tasks(50.0), "evaluation.max_new_tokens=5")
    weights = made_run(tmp_path / "weights", two_tasks(50.0), inputs={"the model lab": {"SHA256SUMS": "0"}})
    fine = made_run(tmp_path / "fine", two_tasks(50.0), "training.epochs=9")
    assert refusal(first, three, turned, changed, tested, weights, fine) == [
        "These runs cannot be compared:",
        f"  {three}: learns stars, mood, oldest; {first} learns stars, mood",
        f"  {turned}: learns the tasks of {first} in another order",
        f"  {changed}: other data than {first} for mood",
        f"  {tested}: tested in another way than {first}: other evaluation.max_new_tokens",
        f"  {weights}: the model lab has changed (SHA256SUMS) since {first}",
    ]


def test_results_of_another_version_are_refused_and_the_file_is_named(tmp_path: Path) -> None:
    fine, old = (made_run(tmp_path / name, two_tasks(50.0)) for name in ("fine", "old"))
    content = value_of(old / "results.json")
    del content["schema_version"]
    put(old / "results.json", content)
    assert refusal(fine, old) == [
        f"{old / 'results.json'} was written by another version of sapo-lite: expected schema_version 3, "
        "found none. Use the version that wrote it, or run the recipe again into another folder."
    ]


def test_two_results_of_one_seed_are_refused(tmp_path: Path) -> None:
    one, other = (made_run(tmp_path / name, two_tasks(ap)) for name, ap in (("one", 50.0), ("other", 60.0)))
    assert refusal(one, other) == [
        f"{other} and {one} are both fixed on lorainc with seed 0, and their results differ. "
        "Name one of them."
    ]


def test_a_kind_of_prompt_that_was_not_tested_is_refused(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    with pytest.raises(RecipeError, match=r"--prompts: expected chosen or original .*, found unseen"):
        compare_folders([run], "unseen")


# --- forms


@pytest.fixture
def both_kinds(tmp_path: Path) -> Comparison:
    runs = [
        made_run(
            tmp_path / f"{strategy}-{seed}",
            two_tasks(ap, bwt=-2.0),
            strategy=strategy,
            seed=seed,
            original=two_tasks(ap - 10 * seed),
            seconds=30.0,
        )
        for strategy, scores in (("fixed", FIXED), ("sapo", SAPO))
        for seed, ap in enumerate(scores)
    ]
    return compared(*runs)


def test_the_text_is_of_one_kind_of_prompt(both_kinds: Comparison, tmp_path: Path) -> None:
    text = shown(both_kinds)
    assert "lab: ROUGE-L in percent, chosen prompts; mean ± standard deviation over seeds" in text
    (row,) = (line for line in text.splitlines() if re.match(r"fixed +lorainc", line))
    assert re.split(r"  +", row.strip()) == [
        *("fixed", "lorainc", "4", "48.8 ± 8.5", "-2.0 ± 0.0", "0.0 ± 0.0", "49.8 ± 8.5"),
        *("96.0 ± 0.6", "30 s", "1.5 GB"),
    ]
    assert "original prompts" in shown(compare_folders(sorted(tmp_path.iterdir()), "original"))


def test_markdown_has_all_kinds_of_prompt_and_all_runs(both_kinds: Comparison) -> None:
    text = as_markdown(both_kinds)
    for kind in ("chosen", "original"):
        assert f"\n## Tested with {kind} prompts\n" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert [len(table.splitlines()) - 2 for table in tables] == [2, 5, 2, 5, 8]
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "| sapo on lorainc | fixed on lorainc | AP | +13.8* |" in text
    assert "BWT: mean over i=2..N" in text


def test_markdown_shows_strategies_by_adapters_at_a_glance(tmp_path: Path) -> None:
    scores = {"lorainc": {"fixed": [40.0, 50.0], "sapo": [55.0, 62.0]}, "olora": {"fixed": [30.0, 30.0]}}
    runs = [run for a, by_way in scores.items() for run in made_runs(tmp_path, by_way, adapter=a)]
    nothing = [[10.0, 20.0]]
    runs += [made_run(tmp_path / f"zero-{seed}", nothing, adapter="zero", seed=seed) for seed in (0, 1)]
    text = as_markdown(compared(*runs))
    head, _, *rows = text.partition("AP:\n\n")[2].partition("\n\n")[0].splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["strategy", "lorainc", "olora", "zero"]
    assert [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows] == [
        ["fixed", "45.0 ± 7.1", "30.0 ± 0.0", "15.0 ± 0.0"],
        ["sapo", "58.5 ± 4.9", "", "15.0 ± 0.0"],
    ]


def test_csv_has_a_row_for_every_number(both_kinds: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(both_kinds))))
    (row,) = (r for r in rows if (r["kind"], r["strategy"], r["metric"]) == ("original", "sapo", "AP"))
    assert float(row["mean"]) == pytest.approx(47.5)
    assert float(row["difference"]) == pytest.approx(13.75)
    assert (row["seeds"], row["pairs"], row["baseline"]) == ("4", "4", "fixed on lorainc")
    assert float(row["p"]) <= float(row["p_holm"]) < 0.05
    (row,) = (r for r in rows if (r["strategy"], r["metric"]) == ("fixed", "seconds"))
    assert (row["kind"], float(row["mean"])) == ("", 30.0)
    left_out = [float(r["mean"]) for r in rows if r["metric"] == "retention_left_out"]
    assert left_out == [0.0] * 4  # two groups, two kinds
    assert len(rows) == 2 * 2 * 5 + len(left_out) + 2 * 3


def test_time_is_with_what_was_copied_in_every_form(tmp_path: Path) -> None:
    runs = made_runs(tmp_path, {"fixed": FIXED, "sapo": SAPO})
    for run in runs[len(FIXED) :]:
        put(run / "copied.json", {"zero-shot": {"evaluate": 90.0}, "candidates": {"paraphrase": 20.0}})
    found = compared(*runs)
    text = shown(found)
    for strategy, time in (("fixed", "10 s"), ("sapo", "2 min")):
        (row,) = (line for line in text.splitlines() if re.match(rf"{strategy} +lorainc", line))
        assert re.split(r"  +", row.strip())[-2] == time
        assert sum(f"| {time} |" in line for line in as_markdown(found).splitlines()) == 2 + len(FIXED)
    assert TIME in text
    assert TIME in as_markdown(found)
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    means = {
        (r["strategy"], r["metric"]): float(r["mean"]) for r in rows if r["metric"].startswith("seconds")
    }
    assert means == {
        ("fixed", "seconds"): 10.0,
        ("fixed", "seconds_alone"): 10.0,
        ("sapo", "seconds"): 10.0,
        ("sapo", "seconds_alone"): 120.0,
    }
    assert [run["seconds_alone"] for run in as_json(found)["runs"]] == [10.0] * 4 + [120.0] * 4


def test_json_holds_everything(both_kinds: Comparison, tmp_path: Path) -> None:
    content = json.loads(json.dumps(as_json(both_kinds)))
    assert list(content["kinds"]) == ["chosen", "original"]
    found = content["kinds"]["original"]["findings"]
    (one,) = (f for f in found if (f["strategy"], f["metric"]) == ("sapo", "AP"))
    assert one["values"] == {"0": 55.0, "1": 52.0, "2": 41.0, "3": 42.0}
    assert one["difference"]["baseline"] == "fixed on lorainc"
    assert one["difference"]["seeds"] == 4
    assert content["settings"]["training.epochs"] == 3
    assert content["metrics"]["in-task"] == "mean over i of R[i,i]"
    assert content["metrics"]["retention"] == "mean over j<N of R[N,j] / R[j,j]"
    assert content["runs"][0] == {
        "strategy": "fixed",
        "adapter": "lorainc",
        "seed": 0,
        "folder": str(tmp_path / "fixed-0"),
        "command": None,
        "retention_left_out": {"chosen": 0, "original": 0},
        "seconds": {"train": 29.0, "load": 1.0},
        "seconds_alone": 30.0,
        "peak_memory_gb": {"cpu": 1.5},
    }


# --- the command line


@pytest.mark.slow
def test_latex_is_a_table_of_booktabs_with_the_best_in_bold(both_kinds: Comparison) -> None:
    lines = as_latex(both_kinds).splitlines()
    assert [line.strip() for line in lines if "rule" in line] == ["\\toprule", "\\midrule", "\\bottomrule"]
    rows = {line.split(" & ")[0].strip(): line for line in lines if " & " in line}
    assert rows["strategy"].endswith(r"AP & BWT & FWT & in-task & retention & time \\")
    assert rows["fixed"].startswith(r"    fixed & lorainc & $48.8 \pm 8.5$ & $\mathbf{-2.0} \pm 0.0$ & ")
    assert r"sapo & lorainc & $\mathbf{62.5} \pm 7.0^{*}$" in rows["sapo"]
    assert rows["sapo"].endswith(r"& 30 s \\")
    assert len({row.count("&") for row in rows.values()}) == 1
    assert r"ROUGE-L in percent; chosen prompts; mean and standard deviation over 4 seeds" in "".join(lines)


def test_latex_escapes_what_it_would_read_as_commands() -> None:
    assert escaped("a_b & 5 % {x} \\ ~ ^ #1 $") == (
        r"a\_b \& 5 \% \{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \#1 \$"
    )


def test_a_comparison_that_is_under_way_shows_its_finished_runs(tmp_path: Path) -> None:
    runs = made_runs(tmp_path, {"fixed": FIXED[:3], "sapo": SAPO[:3]})
    write_comparison(compare_folders(runs, None), tmp_path)
    (runs[2] / "results.json").unlink()  # begun
    shutil.rmtree(runs[5])  # not begun
    found = compare_folders([tmp_path], None)
    assert [len(group.runs) for group in found.groups] == [2, 2]
    assert found.notes[0] == f"{tmp_path}: 4 of 6 runs finished so far; the others are left out."
    for run in runs[:5]:
        (run / "results.json").unlink(missing_ok=True)
    with pytest.raises(RunFolderError, match="found none of its 6 runs finished"):
        compare_folders([tmp_path], None)


def test_folders_are_compared_from_the_command_line(tmp_path: Path) -> None:
    runs = made_runs(tmp_path, {"fixed": FIXED, "sapo": SAPO})
    done = run_program(command("compare", *runs, "--format", "json"))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["runs"]) == 8
    done = run_program(command("compare", *runs))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Significant (p < 0.05" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.slow
def test_what_cannot_be_done_is_one_message_and_no_traceback(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    for arguments, code, said in (
        (
            (run, "--seeds", "3", "--draw"),
            2,
            "--seeds, --draw: expected one recipe to run, found the folders",
        ),
        ((tmp_path / "nowhere",), 1, "found no such folder"),
        (
            ("labb",),
            2,
            "labb: no such recipe. Expected a path to a .toml file, or the name of a shipped recipe",
        ),
    ):
        done = run_program(command("compare", *arguments))
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert "Traceback" not in done.stderr


# --- what was copied


def test_what_a_copied_piece_took_is_passed_on_with_it(tmp_path: Path) -> None:
    def begun(name: str, strategy: str, adapter: str) -> Path:
        path = made_run(tmp_path / name, two_tasks(50.0), strategy=strategy, adapter=adapter, seconds=10.0)
        for file in ("results.json", "usage.json"):
            (path / file).unlink()
        return path

    def did(path: Path, by_stage: dict[str, dict[str, float]], paraphrase: float) -> None:
        folder = RunFolder(path)
        folder.add_usage({"paraphrase": paraphrase, "load": 1.0}, {})
        for stage, seconds in by_stage.items():
            number, _, name = stage.partition("-")
            (kept := folder.stage(int(number), name)).path.mkdir(exist_ok=True)
            folder.add_usage(seconds, {})
            kept.finish(StageRecord({}, {}))

    first = begun("first", "sapo", "lorainc")
    Stage(first / "candidates").write("stars", {"candidates": []})
    did(first, {"00-zero-shot": {"evaluate": 2.0}, "01-stars": {"score": 8.0, "train": 16.0}}, paraphrase=4.0)
    Stage(first / "01-stars").write("losses", [])
    assert seconds_alone(first) == 4.0 + 1.0 + 2.0 + 8.0 + 16.0

    # The same strategy with another method: all of the first stage. Another one that scores: its losses.
    twin = begun("twin", "sapo", "olora")
    copy_pieces(twin, [first, twin])
    did(twin, {"00-zero-shot": {"evaluate": 0.0}, "01-stars": {"evaluate": 0.0}}, paraphrase=0.0)
    assert seconds_alone(twin) == 1.0 + 4.0 + 2.0 + 8.0 + 16.0
    assert value_of(twin / "copied.json") == {
        "candidates": {"paraphrase": 4.0},
        "zero-shot": {"evaluate": 2.0},
        "first stage": {"score": 8.0, "train": 16.0},
    }
    # From the copy of a copy the same: and what is there already is not counted again.
    third = begun("third", "sapo", "lorainc")
    for _ in range(2):
        copy_pieces(third, [twin])
    assert seconds_alone(third) == 4.0 + 2.0 + 8.0 + 16.0


def test_candidates_made_to_fit_inputs_do_not_name_a_group(tmp_path: Path) -> None:
    always = "paraphrase.always=true"  # as a grid sets it for fixed beside sapo
    fixed = made_run(tmp_path / "fixed", two_tasks(50.0), always)
    sapo = made_run(tmp_path / "sapo", two_tasks(60.0), strategy="sapo")
    assert [group.settings for group in compared(fixed, sapo).groups] == [{}, {}]
    # Two runs of one strategy that differ in it may have read other inputs.
    alone = made_run(tmp_path / "alone", two_tasks(40.0), seed=1)
    groups = compared(fixed, alone).groups
    assert [group.settings for group in groups] == [{"paraphrase.always": True}, {"paraphrase.always": False}]
