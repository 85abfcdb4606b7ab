"""`sapo-lite cite`: BibTeX of what a run used, from CITATION.cff."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from made_runs import made_run, made_runs, two_tasks
from sapo_lite import __version__
from sapo_lite.recipe import load_recipe
from sapo_lite.report.bibtex import bibtex
from sapo_lite.run.papers import papers_of
from small import ROOT

CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
ALL = [entry["abbreviation"] for entry in CITATION["references"]]


def papers(recipe: str, *settings: str) -> list[str]:
    return papers_of(load_recipe(recipe, settings).resolved())


def test_the_citation_file_names_this_version() -> None:
    assert CITATION["version"] == __version__


def test_every_reference_is_an_entry_with_a_key_of_its_own() -> None:
    written = bibtex(ALL)
    keys = re.findall(r"^@\w+\{(.+),$", written, re.MULTILINE)
    assert len(set(keys)) == len(keys) == len(ALL) + 1
    assert {"shi2026sapo", "wei2025paft", "kirkpatrick2017ewc"} <= set(keys)
    assert written.count("{") == written.count("}")


def test_the_paper_of_sapo_has_its_title_and_authors() -> None:
    written = bibtex(["SAPO"])
    assert "Training Prompt Matters: State-Adaptive Optimization for Robust Fine-Tuning" in written
    assert "author = {Shi, Wenhang and Chen, Yiren and Bian, Shuqing and Zhao, Zhe" in written
    assert "eprint = {2606.01967}" in written


def test_signs_that_latex_reads_are_escaped_and_authors_left_out_are_others() -> None:
    written = bibtex(["online EWC", "EWC"])
    assert r"Progress \& Compress" in written
    assert "and others}" in written


@pytest.mark.parametrize(
    ("recipe", "settings", "used", "not_used"),
    [
        ("ni_seq_c1", [], {"SAPO", "LoRA", "QLoRA", "SuperNI", "ROUGE", "TRL"}, {"O-LoRA", "PAFT", "TRACE"}),
        ("trace", ["adapter.method=olora"], {"TRACE", "O-LoRA"}, {"SuperNI"}),
        ("lab", ["prompt.strategy=fixed"], {"LoRA"}, {"SAPO", "SuperNI", "Unsloth"}),
        ("lab", ["prompt.strategy=paft", "adapter.method=ewc"], {"PAFT", "EWC", "online EWC"}, {"SAPO"}),
        ("lab", ["adapter.method=replay"], {"InsCL"}, set()),
        ("lab", ["adapter.method=replay", "adapter.replay_by=uniform"], {"LoRA"}, {"InsCL"}),
        ("lab", ["prompt.strategy=rewrite"], {"Rewriting", "GRPO"}, {"SAPO"}),
        ("lab", ["prompt.strategy=rewrite", "rewrite.policy=best_of"], {"Rewriting"}, {"GRPO"}),
        ("lab", ["adapter.method=zero"], {"Transformers"}, {"SAPO", "LoRA", "PEFT"}),
        ("lab", ["sequence.watch=['harness:arc_easy']"], {"harness"}, set()),
        ("lab", ["model.loader=unsloth"], {"Unsloth"}, set()),
    ],
)
def test_a_recipe_uses_the_papers_of_its_settings(
    recipe: str, settings: list[str], used: set[str], not_used: set[str]
) -> None:
    found = set(papers(recipe, *settings))
    assert used <= found <= set(ALL)
    assert not found & not_used


def test_tasks_of_ones_own_are_cited_by_their_metrics(tmp_path: Path) -> None:
    tables = "".join(
        f'[[sequence.task]]\nname = "{name}"\nfile = "x.csv"\ninstruction = "Do it."\n{more}'
        for name, more in [("a", 'labels = ["x", "y"]\n'), ("b", 'metric = "chrf"\n')]
    )
    (tmp_path / "own.toml").write_text(f'[model]\nname = "lab"\n[paraphrase]\nbackend = "builtin"\n{tables}')
    found = papers(str(tmp_path / "own.toml"))
    assert "sacreBLEU" in found
    assert "ROUGE" not in found


def test_a_run_on_a_gpu_was_loaded_by_unsloth_unless_it_says_otherwise() -> None:
    recipe = load_recipe("lab").resolved()
    assert "Unsloth" in papers_of(recipe, on_a_gpu=True)
    plain = load_recipe("lab", ["model.loader=transformers"]).resolved()
    assert "Unsloth" not in papers_of(plain, on_a_gpu=True)


def test_a_run_a_comparison_and_a_recipe_can_be_cited(typed: Callable[..., Any], tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0), strategy="sapo", adapter="olora")
    (run / "results.json").unlink()  # not finished
    (run / "environment.json").write_text(json.dumps({"device": "NVIDIA"}))
    done = typed("cite", run)
    assert done.returncode == 0
    assert all(key in done.stdout for key in ("{sapolite", "{shi2026sapo", "{wang2023olora", "unsloth,"))
    done = typed("cite", "ni_seq_c1")
    assert done.stdout.startswith("% unsloth/Qwen3-8B-unsloth-bnb-4bit: cite the model as its card asks\n")


def test_a_folder_without_a_run_is_refused(typed: Callable[..., Any], tmp_path: Path) -> None:
    done = typed("cite", tmp_path)
    assert done.returncode == 1
    assert "expected the folder of a run or of a comparison, found neither" in done.stderr


def test_a_comparison_is_cited_with_all_that_its_runs_used(typed: Callable[..., Any], tmp_path: Path) -> None:
    from sapo_lite.compare.comparison import compare_folders
    from sapo_lite.report.export import write_comparison

    runs = made_runs(tmp_path / "runs", {"fixed": [40.0], "paft": [50.0]})
    write_comparison(compare_folders(runs, None), tmp_path)
    done = typed("cite", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("{wei2025paft") == done.stdout.count("{hu2022lora") == 1
