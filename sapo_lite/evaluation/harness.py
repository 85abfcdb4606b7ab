"""Watched tasks of lm-evaluation-harness (extra `harness`), asked as its own models are: as plain text.

No chat template is applied and no wording is chosen, so that scores compare with published ones.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from sapo_lite.errors import DataError
from sapo_lite.evaluation.rows import Row, WatchScores
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.generation import generate
from sapo_lite.model.loss import greedy_answer_nll
from sapo_lite.support.offline import keep_hub_offline


def load_harness_task(name: str, file: Path | None) -> dict[str, Any]:
    """The tasks of the harness, by name, that a name stands for: one, or several of a group.

    file: the YAML file that describes the task; None for one of the harness's own

    Raises:
        DataError: the harness is not installed, or cannot load the task or its data.
    """
    if find_spec("lm_eval") is None:
        raise DataError(
            f'sequence.watch has "harness:{name}": expected lm-evaluation-harness, found no module lm_eval. '
            "Install it: pip install 'sapo-lite[harness]'"
        )
    keep_hub_offline()
    from lm_eval.tasks import TaskManager

    try:
        manager = TaskManager(include_defaults=file is None)
        found = manager.load([name if file is None else str(file)])
    except Exception as error:  # whatever its readers, its data libraries and a hub raise
        raise DataError(
            f"harness:{name}: lm-eval cannot load it ({type(error).__name__}: {error})"
        ) from error
    tasks: dict[str, Any] = found["tasks"]
    for task in tasks.values():
        _metric_of(task)
    return tasks


def _metric_of(task: Any) -> str:
    """Name of the task's first metric. Raises DataError unless higher scores are better."""
    metric, better = next(iter(task.higher_is_better().items()), ("", False))
    if not better:
        raise DataError(
            f"harness:{task.config.task}: expected a metric of which more is better as its first one, found "
            f"{metric or 'none'}. Watch another task."
        )
    return str(metric)


def score_harness(
    backbone: Backbone,
    tasks: dict[str, Any],
    limit: int,
    on_done: Callable[[int], None] = lambda _: None,
) -> WatchScores:
    """Score the first `limit` documents of each task by its first metric. `on_done` gets their number.

    Raises:
        DataError: the metric has no score in [0, 1] for a single document.
    """
    from lm_eval import simple_evaluate

    found = simple_evaluate(
        _model_class()(backbone),
        tasks=list(tasks.values()),
        limit=limit,
        bootstrap_iters=0,
        log_samples=True,
    )
    metrics = {name: _metric_of(task) for name, task in tasks.items()}
    by_task = {}
    for name, metric in metrics.items():
        documents = sorted(found["samples"][name], key=lambda document: int(document["doc_id"]))
        by_task[name] = [_row(each, _in_percent(each[metric], name, metric)) for each in documents]
    every = [row for own in by_task.values() for row in own]
    on_done(len(every))
    parts = {name: fmean(row.score for row in own) for name, own in by_task.items()}
    shown = ", ".join(dict.fromkeys(metrics.values()))
    return WatchScores(shown, every, parts if len(parts) > 1 else {})


def _row(document: dict[str, Any], score: float) -> Row:
    """A document as the harness logs it. Of choices, the answer is the likeliest one."""
    requests, responses, target = (document[key] for key in ("arguments", "filtered_resps", "target"))
    if isinstance(target, int) and target < len(requests) > 1:
        choices = [str(continuation).strip() for _context, continuation in requests]
        best = max(range(len(choices)), key=lambda number: responses[number][0])
        return Row(str(requests[0][0]), choices[target], choices[best], score)
    reference = [str(each) for each in target] if isinstance(target, list) else str(target)
    return Row(str(requests[0][0]), reference, str(responses[0]), score)


def _in_percent(score: Any, name: str, metric: str) -> float:
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        raise DataError(
            f"harness:{name}: expected scores from 0 to 1 of single documents by {metric}, found {score!r}. "
            "Watch another task."
        )
    return 100.0 * score


@cache
def _model_class() -> Any:
    """The harness's model of a backbone: made late, since its base class comes with the harness."""
    from lm_eval.api.model import TemplateLM

    class BackboneLM(TemplateLM):
        def __init__(self, backbone: Backbone) -> None:
            super().__init__()
            self.backbone = backbone
            self.longest = backbone.config.max_source_tokens + backbone.config.max_answer_tokens

        @property
        def eot_token_id(self) -> int:
            return int(self.backbone.tokenizer.eos_token_id)

        @property
        def prefix_token_id(self) -> int:
            bos = self.backbone.tokenizer.bos_token_id
            return self.eot_token_id if bos is None else int(bos)

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            ids: list[int] = self.backbone.tokenizer(
                string, add_special_tokens=bool(add_special_tokens), padding=False, truncation=False
            )["input_ids"]
            return ids

        def _loglikelihood_tokens(
            self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any
        ) -> list[tuple[float, bool]]:
            rows = []
            for _texts, context, continuation in requests:
                room = max(1, self.longest - len(continuation))
                kept = context[-room:]
                rows.append(EncodedRow((*kept, *continuation), len(kept)))
            nll_sum, greedy = greedy_answer_nll(self.backbone, rows)
            return [(-nll, hit) for nll, hit in zip(nll_sum, greedy, strict=True)]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            raise DataError(
                "harness: expected a task of choices or of answers, found one that scores whole texts "
                "(loglikelihood_rolling). Watch another task."
            )

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [self._answer(*request.args) for request in requests]

        def _answer(self, context: str, settings: dict[str, Any]) -> str:
            most = int(settings.get("max_gen_toks", self.backbone.config.max_answer_tokens))
            ids = self.tok_encode(context)[-self.longest :]
            (text,) = generate(self.backbone, [ids], max_new_tokens=most, batch_size=1)
            until = settings.get("until") or []
            for stop in [until] if isinstance(until, str) else until:
                text = text.split(stop)[0] if stop else text
            return text

    return BackboneLM
