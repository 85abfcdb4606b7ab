"""Papers and programs that a recipe uses: by their abbreviation in CITATION.cff."""

from collections.abc import Iterator, Mapping
from typing import Any

from sapo_lite.learning.methods import trains
from sapo_lite.prompts.strategies import STRATEGIES

_OF_STRATEGIES = {"sapo": "SAPO", "worst": "SAPO", "random": "SAPO", "paft": "PAFT"}
_OF_METHODS = {"olora": ("O-LoRA",), "ewc": ("EWC", "online EWC")}
_OF_SUITES = {"SUPERNI": "SuperNI", "TRACE": "TRACE"}
_OF_METRICS = {"rougeL": "ROUGE", "rouge1": "ROUGE", "chrf": "sacreBLEU"}
_HARNESS = "harness:"


def papers_of(settings: Mapping[str, Any], *, on_a_gpu: bool = False) -> list[str]:
    """Abbreviations of what a recipe uses, each once.

    settings: of a resolved recipe, by section
    on_a_gpu: whether the recipe was run on one, where model.loader "auto" is Unsloth
    """
    unsloth = settings["model"]["loader"] in ("unsloth", *(["auto"] if on_a_gpu else []))
    return list(dict.fromkeys([*_papers(settings), *(["Unsloth"] if unsloth else [])]))


def _papers(settings: Mapping[str, Any]) -> Iterator[str]:
    sequence, adapter = settings["sequence"], settings["adapter"]
    if trains(adapter["method"]):
        yield from _of_training(settings)
    if sequence["suite"] in _OF_SUITES:
        yield _OF_SUITES[sequence["suite"]]
    yield from (_OF_METRICS[metric] for metric in _metrics(sequence) if metric in _OF_METRICS)
    if any(name.startswith(_HARNESS) for name in sequence.get("watch", ())):
        yield "harness"
    yield "Transformers"
    if trains(adapter["method"]):
        yield from ("TRL", "PEFT")


def _of_training(settings: Mapping[str, Any]) -> Iterator[str]:
    strategy, adapter, rewrite = settings["prompt"]["strategy"], settings["adapter"], settings["rewrite"]
    if strategy in _OF_STRATEGIES and STRATEGIES[strategy].needs_candidates:
        yield _OF_STRATEGIES[strategy]
    if rewrite["enabled"]:
        yield from ("Rewriting", *(["GRPO"] if rewrite["policy"] == "rl" else []))
    yield "LoRA"
    if settings["model"]["quantization"] == "nf4":
        yield "QLoRA"
    yield from _OF_METHODS.get(adapter["method"], ())
    if adapter["method"] == "replay" and adapter["replay_by"] == "similarity":
        yield "InsCL"


def _metrics(sequence: Mapping[str, Any]) -> Iterator[str]:
    """Metrics of the tasks: of a suite that of the published protocol, of one's own each task's."""
    if not (tables := sequence.get("task")):
        yield "rougeL"
    for table in tables or ():
        yield table["metric"] or ("rougeL" if table["labels"] is None else "accuracy")
