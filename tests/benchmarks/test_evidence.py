"""The analysis of studies and their documents. Studies here are synthetic, but for the recorded ones."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from synthetic_study import run_results, write_study

from benchmarks.evidence.analysis.choice import losses, over_probes, update_sizes
from benchmarks.evidence.analysis.completeness import missing_files
from benchmarks.evidence.analysis.measures import difference, measure
from benchmarks.evidence.analysis.mechanism import noise, partial_test, plain_test
from benchmarks.evidence.analysis.numbers import analysed
from benchmarks.evidence.analysis.outcomes import Outcome, candidate_outcomes
from benchmarks.evidence.analysis.paper import earlier_task_groups
from benchmarks.evidence.analysis.probe_tests import outcome_tests
from benchmarks.evidence.analysis.repeats import repeats
from benchmarks.evidence.analysis.study import KINDS, RunRecord, read_study
from benchmarks.evidence.analysis.wordings_effect import decomposition, repeats_of_runs
from benchmarks.evidence.report import write_documents
from benchmarks.evidence.report.claims import claims
from benchmarks.evidence.report.text import wrapped
from sapo_lite.errors import DataError, RunFolderError
from sapo_lite.lab.wordings import PHRASINGS, original

ROOT = Path(__file__).resolve().parents[2]
RESULTS, DOCS = ROOT / "benchmarks/evidence/results", ROOT / "docs"
EARLIER = Outcome("earlier", "change", "chosen")
FEW = 500  # permutations


def document_of(tmp_path: Path, **planted: Any) -> str:
    """The document of a synthetic study, wherever its lines break."""
    write_study(tmp_path / "results" / "made", **planted)
    write_documents(tmp_path / "results", tmp_path / "docs")
    return " ".join((tmp_path / "docs/evidence/made.md").read_text(encoding="utf-8").split())


# --- the documents in the repository


@pytest.mark.slow
def test_the_documents_are_those_of_the_recorded_results(tmp_path: Path) -> None:
    """A study that is under way has no document yet."""
    for study in RESULTS.iterdir():
        if not any(missing_files(study, read_study(study).settings).values()):
            (tmp_path / "results").mkdir(exist_ok=True)
            (tmp_path / "results" / study.name).symlink_to(study)
    documents = write_documents(tmp_path / "results", tmp_path / "docs")
    written = {path.relative_to(tmp_path / "docs"): path.read_bytes() for path in documents}
    assert Path("evidence/claims.json") in written
    recorded = {path.relative_to(DOCS) for path in (DOCS / "evidence").iterdir()}
    assert set(written) == recorded
    assert [str(path) for path, content in written.items() if content != (DOCS / path).read_bytes()] == []


@pytest.mark.parametrize("name", ["README.md", "docs/methods.md"])
def test_numbers_that_are_quoted_of_the_evidence_are_in_the_claims(name: str) -> None:
    rows = json.loads((DOCS / "evidence/claims.json").read_text(encoding="utf-8"))
    known = _numbers(json.dumps(rows))
    paragraphs = re.split(r"\n\s*\n", (ROOT / name).read_text(encoding="utf-8"))
    quoted = [_numbers(paragraph) for paragraph in paragraphs if "evidence/lab-first.md]" in paragraph]
    assert any(quoted)
    assert [sorted(numbers - known) for numbers in quoted] == [[]] * len(quoted)


def test_the_first_runs_numbers_of_ten_seeds_are_in_their_document() -> None:
    text = (DOCS / "first-run.md").read_text(encoding="utf-8")
    section = text[text.index("## What ten seeds of it show") : text.index("## Real text on a laptop")]
    document = (DOCS / "evidence/lab-first.md").read_text(encoding="utf-8")
    assert len(_numbers(section)) > 30
    assert _numbers(section) - _numbers(document) == set()


def _numbers(text: str) -> set[str]:
    """Numbers with decimals, without their sign."""
    return set(re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", text))


def test_a_cluster_of_the_first_study_is_a_core_phrase() -> None:
    probes = read_study(RESULTS / "lab-first").probes
    for probe in probes:
        assert probe.candidates[0].text == original(probe.task)
        for candidate in probe.candidates:
            assert _core(probe.task, candidate.text) == candidate.cluster, candidate.text
    assert sum(len(probe.candidates) for probe in probes) == 378


def _core(task: str, text: str) -> int:
    """Number of the longest core phrase in a wording."""
    found = []
    for number, core in enumerate(PHRASINGS[task].cores):
        slots = re.sub(r"\\\[(.*?)\\\]", lambda slot: f"(?:{slot[1].replace(chr(92), '')})", re.escape(core))
        if match := re.search(re.sub(r"\ba\\ ", r"an?\\ ", slots), text):
            found.append((len(match[0]), number))
    return max(found)[1]


def test_the_first_study_is_whole_and_its_probes_repeat_its_runs() -> None:
    study = read_study(RESULTS / "lab-first")
    assert not any(missing_files(RESULTS / "lab-first", study.settings).values())
    assert repeats_of_runs(study, study.probes) == (18, 18)
    assert all(one.same_choices == one.choices == 5 for one in repeats(study))


def test_the_parts_of_lesser_forgetting_add_up() -> None:
    study = read_study(RESULTS / "lab-first")
    parts = decomposition(study, study.probes)
    assert parts is not None
    means = [part.probes.mean for part in (parts.sequences, parts.new, parts.rest)]
    assert means[0] == pytest.approx(means[1] + means[2])
    assert [round(mean, 1) for mean in means] == [18.8, 5.9, 12.9]


# --- what is found, and what is not


def test_a_relation_that_is_planted_is_found_and_none_is_not(tmp_path: Path) -> None:
    for slope, found in ((-5.0, True), (0.0, False)):
        study = read_study(write_study(tmp_path / str(slope), slope=slope))
        tests = outcome_tests(study.probes, FEW)
        assert [test.found for test in tests.values()] == [found] * len(tests)
        assert len(tests) == 4  # earlier, its share kept, later, the task: three equal kinds stand once


def test_a_relation_of_a_single_seed_is_no_finding(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "x", slope=-5.0))
    flat = read_study(write_study(tmp_path / "y", slope=0.0))
    probes = [study.probes[0], *flat.probes[1:]]
    for test in outcome_tests(probes, FEW).values():
        assert test.seeds is not None
        assert test.seeds.low is not None
        assert test.seeds.low < 0
        assert not test.found


def test_effects_on_other_tasks_are_compared_once_a_probe(tmp_path: Path) -> None:
    probes = read_study(write_study(tmp_path / "x", slope=-5.0)).probes
    groups = earlier_task_groups(probes, "chosen")
    assert [len(group.x) for group in groups] == [len(probe.candidates) for probe in probes]
    probe, group = probes[0], groups[0]
    first = next(t for t in probe.trainings if t.candidate == 3)
    assert group.x[3] == pytest.approx(first.scores["chosen"]["a"] - 50, abs=1e-5)
    assert group.y[3] == pytest.approx(first.scores["chosen"]["b"] - 50, abs=1e-5)


def test_the_update_explains_away_what_comes_of_it_alone(tmp_path: Path) -> None:
    probes = read_study(write_study(tmp_path / "x", by_update=-5.0, seeds=30)).probes
    plain = plain_test(probes, EARLIER, losses, FEW)
    left = partial_test(probes, EARLIER, losses, update_sizes, FEW)
    assert plain is not None
    assert left is not None
    assert plain.seeds is not None
    assert left.seeds is not None
    assert plain.seeds.mean < -0.7
    assert abs(left.seeds.mean) < 0.2
    direct = read_study(write_study(tmp_path / "y", slope=-5.0)).probes
    kept = partial_test(direct, EARLIER, losses, update_sizes, FEW)
    assert kept is not None
    assert kept.seeds is not None
    assert kept.seeds.mean < -0.7


def test_the_noise_of_a_training_is_that_of_two_orders(tmp_path: Path) -> None:
    noisy = noise(read_study(write_study(tmp_path / "x", slope=-1.0, orders=2, noise=3.0)).probes, EARLIER)
    clear = noise(read_study(write_study(tmp_path / "y", slope=-9.0, orders=2, noise=0.1)).probes, EARLIER)
    alone = noise(read_study(write_study(tmp_path / "z")).probes, EARLIER)
    assert alone is None
    assert noisy is not None
    assert clear is not None
    assert noisy.orders == 2
    # Of a change: the noise of the training, and that of two tasks' scores.
    assert noisy.deviation == pytest.approx((9 + 9 / 2) ** 0.5, rel=0.2)
    assert noisy.limit is not None
    assert clear.limit is not None
    assert noisy.limit < 0.8 < 0.99 < clear.limit


def test_outcomes_are_means_over_the_orders_that_all_candidates_have(tmp_path: Path) -> None:
    probe = read_study(write_study(tmp_path / "x", orders=2)).probes[0]
    both = candidate_outcomes(probe, EARLIER)
    ours = [t for t in probe.trainings if t.candidate == 0]
    changes = [fmean(t.scores["chosen"][task] - 50 for task in ("a", "b")) for t in ours]
    assert both[0] == pytest.approx(fmean(changes), abs=1e-5)
    del probe.trainings[-1]
    first = candidate_outcomes(probe, EARLIER)
    assert first[0] == pytest.approx(changes[0], abs=1e-5)


@pytest.mark.slow
def test_planted_effects_of_old_and_new_wordings_come_out(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "x", crossed={"new": 3.0, "old": 5.0}))
    found = analysed(study).crossed
    assert {kind for _, kind in found} == set(KINDS)
    for effects in found.values():
        assert effects.new.probes.mean == pytest.approx(3.0)
        assert effects.old.probes.mean == pytest.approx(5.0)
        assert effects.both.probes.mean == pytest.approx(8.0)


def test_units_are_probes_and_seeds() -> None:
    found = over_probes([(0, 1.0), (0, 3.0), (1, 5.0)])
    assert found is not None
    assert (found.probes.mean, found.probes.n) == (3.0, 3)
    assert (found.seeds.mean, found.seeds.n) == (3.5, 2)
    assert over_probes([]) is None


def test_measures_of_a_run_are_those_of_their_formulas() -> None:
    run = RunRecord("sapo", "lorainc", 0, ["a", "b"], run_results("ab", learned=80.0, end=20.0), 1.0, None)
    assert measure(run, "original", "in-task") == 80
    assert measure(run, "original", "AP") == 50
    assert measure(run, "original", "BWT") == -60
    assert measure(run, "original", "retention") == 25
    assert measure(run, "other", "retention") == 20  # 15 of 75
    assert measure(run, "chosen", "FWT") is None
    assert measure(run, "other", "BWT") is None


def test_sapos_own_wordings_are_those_that_others_are_tested_with(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "x", effect=8.0, noise=0.01))
    sapo = study.by_seed("sapo", "lorainc")[0]
    assert sapo.ends("other") == sapo.ends("chosen")
    found = difference(study, "sapo", "fixed", "lorainc", "other", "AP")
    assert found is not None
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(11.0, abs=0.1)  # and `fixed` is 5 points lower there
    first = read_study(RESULTS / "lab-first")
    assert not any("other" in run.kinds for run in first.runs)


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "x", effect=8.0, noise=0.01))
    found = difference(study, "sapo", "fixed", "lorainc", "original", "AP")
    assert found is not None
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(6.0, abs=0.1)  # three of four tasks
    assert found.interval.deviation < 0.1  # type: ignore[operator]
    assert found.above == 6


# --- the document


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effect", "slope", "ap", "loss"),
    [
        (8.0, -5.0, "as claimed", "as claimed"),
        (-8.0, 5.0, "against the claim", "against the claim"),
        (0.0, 0.0, "not shown", "not shown"),
    ],
)
def test_the_claims_say_what_came_out_and_the_surprising_first(
    tmp_path: Path, effect: float, slope: float, ap: str, loss: str
) -> None:
    found = claims(analysed(read_study(write_study(tmp_path / "x", effect=effect, slope=slope))))
    verdicts = {claim.claim: claim.verdict for claim in found}
    own = "AP is higher with sapo than with fixed (lorainc, own test wordings)"
    assert verdicts[own] == ap
    assert verdicts["Prompts of lower loss leave more: earlier tasks (change), own wordings"] == loss
    order = ["against the claim", "not shown", "found", "as claimed"]
    places = [order.index(claim.verdict) for claim in found]
    assert places == sorted(places)


@pytest.mark.slow
def test_the_document_has_all_of_a_study(tmp_path: Path) -> None:
    text = document_of(tmp_path, effect=5.0, slope=-3.0, orders=2, crossed={"new": 1.0, "old": 2.0})
    assert text.index("## Claims") < text.index("## The paper's three claims")
    for heading in ("The noise of a training", "size of the update?", "Crossed", "Size of the updates"):
        assert heading in text
    assert "nan" not in text
    assert "The study is complete." in text
    plots = sorted((tmp_path / "docs/evidence").glob("*.svg"))
    assert len(plots) == 6
    for plot in plots:
        ElementTree.parse(plot)
        assert f"]({plot.name})" in text
    rows = json.loads((tmp_path / "docs/evidence/claims.json").read_text(encoding="utf-8"))["made"]
    assert all(row["claim"] in text and row["estimate"] in text for row in rows)


def test_rows_of_a_table_have_as_many_cells_as_its_headings() -> None:
    for path in (DOCS / "evidence").glob("*.md"):
        tables = re.findall(r"(?:^\|.*\n)+", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert len(tables) > 5
        assert [len({row.count("|") for row in table.splitlines()}) for table in tables] == [1] * len(tables)


@pytest.mark.slow
def test_nothing_is_concluded_from_two_seeds(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "results" / "made", effect=9.0, slope=-9.0, seeds=2)
    found = claims(analysed(read_study(folder)))
    assert {claim.verdict for claim in found} == {"too few seeds"}
    assert {(claim.p, claim.interval) for claim in found} == {("–", "–")}
    write_documents(tmp_path / "results", tmp_path / "docs")
    text = (tmp_path / "docs/evidence/made.md").read_text(encoding="utf-8")
    assert not re.search(r"\| (< )?0\.\d{4} \|", text)
    assert " found |" not in text


@pytest.mark.slow
def test_a_study_that_is_not_complete_names_what_is_missing(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "results" / "made", effect=3.0)
    (folder / "runs/sapo-lorainc-4.json").unlink()
    (folder / "probes/2-after-2-fixed.json").unlink()
    write_documents(tmp_path / "results", tmp_path / "docs")
    text = " ".join((tmp_path / "docs/evidence/made.md").read_text(encoding="utf-8").split())
    assert "**The study is not complete.**" in text
    assert "- runs: 1 (sapo-lorainc-4) - probes: 1 (2-after-2-fixed)" in text
    assert "5 seeds" in text


@pytest.mark.slow
@pytest.mark.parametrize("part", ["runs", "probes"])
def test_a_study_may_have_one_part_only(tmp_path: Path, part: str) -> None:
    folder = write_study(tmp_path / "results" / "made")
    shutil.rmtree(folder / part)
    write_documents(tmp_path / "results", tmp_path / "docs")
    text = (tmp_path / "docs/evidence/made.md").read_text(encoding="utf-8")
    assert ("## Sequences" in text) == (part == "probes")
    assert ("## Probe" in text) == (part == "runs")


def test_results_that_are_no_study_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of a study with results, found none"):
        write_documents(tmp_path, tmp_path)
    folder = write_study(tmp_path / "results" / "made")
    (folder / "settings.toml").unlink()
    with pytest.raises(DataError, match="expected the study's frozen settings"):
        read_study(folder)
    (folder / "probes" / "0-after-2-fixed.json").write_text("{}", encoding="utf-8")
    with pytest.raises((DataError, RunFolderError)):
        read_study(folder)


def test_paragraphs_are_wrapped_and_code_is_not() -> None:
    long = "word " * 40
    text = f"{long}\n\n- {long}\n\n```\n{long}\n\n{long}\n```\n\n| {long} |"
    lines = wrapped(text).splitlines()
    assert sum(len(line) > 110 for line in lines) == 3
    assert max(len(line) for line in lines[:6]) <= 110
