"""Losses of candidate instructions under the model as it is before the update (SAPO, section 3).

Only forward passes. Sums are kept for each example, so the result does not depend on the batches, and every
mean in use can be computed from them.
"""

from collections.abc import Callable, Sequence

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import answer_nll
from sapo_lite.prompts.losses import RELEASED_BATCH, CandidateLoss, Reduction
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.racing import Round, race
from sapo_lite.prompts.strata import strata, weights
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate, Task, TrainingRow


def score(
    backbone: Backbone,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    examples: int,
    reduction: Reduction = "token_mean",
    on_score: Callable[[CandidateLoss], None] = lambda _: None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> list[CandidateLoss]:
    """Answer losses of every candidate on the first `examples` training examples of `task`.

    `on_score` is called after each candidate, `on_rows` with the number of rows of every batch.
    An attached LoRA is active at full scale, with dropout off.
    """
    everything = range(len(task.train[:examples]))
    scores = []
    for candidate in candidates:
        ((nll_sum, tokens),) = _losses(backbone, task, [candidate], everything, on_rows)
        _require_answers(task, candidate, tokens, reduction)
        scores.append(
            CandidateLoss(candidate.index, nll_sum, tokens, tuple(everything), len(everything), reduction)
        )
        on_score(scores[-1])
    return scores


def race_scores(
    backbone: Backbone,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    examples: int,
    seed: int,
    on_score: Callable[[CandidateLoss], None] = lambda _: None,
    on_round: Callable[[Round], None] = lambda _: None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> list[CandidateLoss]:
    """Like `score`, but stops scoring candidates that are clearly not the best (sapo_lite.prompts.racing).

    The candidates of a round share batches. The losses of dropped candidates stay partial. `on_score` is
    called whenever a candidate has new losses, `on_rows` with the number of rows of every batch. A single
    candidate is scored in full.
    """
    if len(candidates) < 2:
        return score(backbone, task, candidates, examples=examples, on_score=on_score, on_rows=on_rows)
    by_index = {candidate.index: candidate for candidate in candidates}
    total, kinds = len(task.train[:examples]), _kinds(backbone, task, examples)
    measured: dict[int, CandidateLoss] = {}

    def measure(indices: Sequence[int], positions: Sequence[int]) -> list[Sequence[float]]:
        found = _losses(backbone, task, [by_index[index] for index in indices], positions, on_rows)
        for index, (nll_sum, tokens) in zip(indices, found, strict=True):
            before = measured.get(index, CandidateLoss(index, (), (), (), total))
            places = (*before.examples, *positions)
            parts = weights(kinds, places) if len(places) < total else ()
            measured[index] = CandidateLoss(
                index, before.nll_sum + nll_sum, before.tokens + tokens, places, total, weights=parts
            )
            on_score(measured[index])
        return [nll_sum for nll_sum, _ in found]

    race(list(by_index), total, measure, seed=seed, strata=kinds, on_round=on_round)
    return [measured[index] for index in by_index]


def _kinds(backbone: Backbone, task: Task, examples: int) -> list[int]:
    """The stratum of every scoring example: by its answer, else by the answer's number of tokens."""
    answers = [example.answer for example in task.train[:examples]]
    return strata(answers, [len(own) for own in backbone.chat.encode_texts(answers)])


def _losses(
    backbone: Backbone,
    task: Task,
    candidates: Sequence[Candidate],
    positions: Sequence[int],
    on_rows: Callable[[int], None],
) -> list[tuple[tuple[float, ...], tuple[int, ...]]]:
    """Losses and numbers of answer tokens at these positions under each candidate, measured together."""
    chosen = [task.train[position] for position in positions]
    rows: list[EncodedRow] = []
    for candidate in candidates:
        under = [TrainingRow(candidate.text, example.input, example.answer) for example in chosen]
        rows += backbone.chat.encode(task, under)
    count = len(chosen)
    groups = [range(n * count, (n + 1) * count) for n in range(len(candidates))]
    nll_sum, tokens = answer_nll(backbone, rows, groups=groups, on_rows=on_rows)
    return [(nll_sum[own.start : own.stop], tokens[own.start : own.stop]) for own in groups]


def _require_answers(task: Task, candidate: Candidate, tokens: Sequence[int], reduction: Reduction) -> None:
    """Raises BackboneError if a mean has no answer token: rows that are cut on the right may lose all."""
    size = RELEASED_BATCH if reduction == "batch_mean" else len(tokens)
    for start in range(0, len(tokens), size):
        if not any(tokens[start : start + size]):
            last = min(start + size, len(tokens)) - 1
            raise BackboneError(
                f"{task.id}: expected answer tokens in the training examples {start} to {last} (0-based) "
                f"under candidate {candidate.index}, found none: they are cut on the right. Raise "
                'model.max_source_tokens, or set model.cut = "input".'
            )


def measure(
    backbone: Backbone,
    task: Task,
    pool: Sequence[Candidate],
    *,
    examples: int,
    race: bool,
    reduction: Reduction,
    seed: int,
    progress: PromptProgress,
) -> list[CandidateLoss]:
    """Losses of all candidates on the task's first `examples` training examples, shown as they come."""
    examples = min(examples, len(task.train))
    with progress.work("scoring", len(pool) * examples, "examples") as meter:
        counter = _Counter(pool, examples, meter, progress)
        if race:
            return race_scores(
                backbone,
                task,
                pool,
                examples=examples,
                seed=seed,
                on_score=counter.scored,
                on_round=counter.round_ended,
                on_rows=counter.measured,
            )
        return score(
            backbone,
            task,
            pool,
            examples=examples,
            reduction=reduction,
            on_score=counter.scored,
            on_rows=counter.measured,
        )


class _Counter:
    """Counts scored examples; those that a race skips count as done."""

    def __init__(
        self, pool: Sequence[Candidate], examples: int, meter: Meter, progress: PromptProgress
    ) -> None:
        self._pool, self._examples, self._meter, self._progress = pool, examples, meter, progress
        self._scores: dict[int, CandidateLoss] = {}
        self._note = ""

    def measured(self, rows: int) -> None:
        self._meter.advance(rows, self._note)

    def scored(self, score: CandidateLoss) -> None:
        self._scores[score.index] = score
        self._progress.candidates(self._pool, list(self._scores.values()))

    def round_ended(self, ended: Round) -> None:
        self._note = f"{len(ended.left)} of {len(self._pool)} in the race after {ended.examples} examples"
        out = len(ended.dropped) + (len(ended.left) if len(ended.left) == 1 else 0)
        self._meter.advance(out * (self._examples - ended.examples), self._note)
