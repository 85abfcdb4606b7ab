"""The probe: one task learned with each of its candidates, every time from the same state.

The state is that of a base cell (original instructions, LoRAInc) after some of its tasks: the adapter that
the run saved. It is loaded again for every candidate, the next block is opened with the same weights, and
rows have the same order: only the instruction differs. With the original instruction this is the base
cell's own next stage, so scores must come out equal to those of the run.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from benchmarks.evidence.programme import Programme, Transition
from sapo_lite.data.tasks import load_sequence
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.model.selfcheck import check_packs
from sapo_lite.prompts.losses import scores_from_json, scores_to_json
from sapo_lite.prompts.pool import Pool, pool_from_json
from sapo_lite.prompts.scoring import score
from sapo_lite.recipe import Recipe
from sapo_lite.run.context import stage_seed
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.stage_folder import Stage
from sapo_lite.run.workplan import Amount, Work
from sapo_lite.support.files import read_json
from sapo_lite.support.library_logs import chatter_to
from sapo_lite.types import Candidate, Task, TrainingRow, TrainingSet

# Scores by kind of prompt, then by task in order, then by metric, in percent: as in the stage.json of a run.
Scores = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Probe:
    """A base cell's run after `learned` tasks."""

    recipe: Recipe
    run: Path
    tasks: Sequence[Task]
    pools: dict[str, Pool]
    backbone: Backbone
    adapter: BlockAdapter
    learned: int

    @property
    def task(self) -> Task:
        """The task that is learned with every candidate."""
        return self.tasks[self.learned]

    @property
    def seed(self) -> int:
        """The seed of the run's next stage."""
        return stage_seed(self.recipe, self.learned + 1)

    @property
    def candidates(self) -> Sequence[Candidate]:
        return self.pools[self.task.id].split(self.recipe.paraphrase.held_out)[0]

    def stage(self, learned: int) -> Stage:
        return Stage(self.run / f"{learned:02d}-{self.tasks[learned - 1].key}")

    @cached_property
    def before(self) -> Scores:
        """Scores in the state itself, from the run's results."""
        return self.stage(self.learned).record.scores

    def begin(self) -> str:
        """Load the state and open the next block, untrained. Returns the SHA-256 of all its weights."""
        self.adapter.load(self.stage(self.learned).adapter)
        self.adapter.open_block(self.learned, seed=self.seed)
        digest = hashlib.sha256()
        for pair in self.adapter.state():
            for weights in pair:
                digest.update(weights.cpu().numpy().tobytes())
        return digest.hexdigest()

    def losses(self) -> list[dict[str, Any]]:
        """Pre-update losses of all candidates on the scoring examples, no race."""
        self.begin()
        examples = self.recipe.scoring.score_examples
        reduction = self.recipe.scoring.reduction
        return scores_to_json(
            score(self.backbone, self.task, self.candidates, examples=examples, reduction=reduction)
        )

    def outcome(self, candidate: Candidate, checkpoints: Path) -> dict[str, Any]:
        """Train with one candidate and test all tasks."""
        start = self.begin()
        rows = [TrainingRow(candidate.text, e.input, e.answer) for e in self.task.train]
        train(
            self.backbone,
            self.adapter,
            [TrainingSet(self.task, rows)],
            self.recipe.training,
            checkpoints=checkpoints,
            seed=self.seed,
        )
        return {"candidate": candidate.index, "start": start, "scores": self._test(candidate)}

    def _test(self, candidate: Candidate) -> Scores:
        scores: Scores = {kind: [] for kind in self.recipe.evaluation.kinds}
        for task in self.tasks:
            found: dict[tuple[str, ...], dict[str, float]] = {}
            for kind, row in scores.items():
                wordings = self._wordings(task, candidate, kind)
                if wordings not in found:
                    found[wordings] = evaluate(self.backbone, task, wordings, self.recipe.evaluation).scores
                row.append(found[wordings])
        return scores

    def _wordings(self, task: Task, candidate: Candidate, kind: str) -> tuple[str, ...]:
        """Instructions for tests. Earlier tasks were learned with their original instructions."""
        held_out = self.pools[task.id].split(self.recipe.paraphrase.held_out)[1]
        if kind == "unseen" and held_out:
            return tuple(other.text for other in held_out)
        if kind == "chosen" and task is self.task:
            return (candidate.text,)
        return (task.instruction,)


def probe_work(recipe: Recipe, tasks: Sequence[Task], learned: int) -> Work:
    """All work of a transition from `learned` of the tasks to one more."""
    candidates, rows = recipe.paraphrase.count + 1, len(tasks[learned].train)
    # With original and held-out wordings; the task in question with the candidate, too.
    answers = 2 * sum(len(task.test) for task in tasks) + len(tasks[learned].test)
    return Work(
        forwards=Amount(candidates * min(recipe.scoring.score_examples, rows)),
        steps=candidates * recipe.training.steps(rows),
        rows=candidates * rows * recipe.training.epochs,
        answers=Amount(candidates * answers),
    )


def run_transition(programme: Programme, transition: Transition) -> float:
    """Probe a transition, or continue. Returns the seconds of this call; 0 if it was finished before.

    Every candidate's outcome is a file of its own, written whole.

    Raises:
        SapoLiteError: as a run does; also where the folder holds a probe of other settings.
    """
    start, cpu = time.perf_counter(), time.process_time()
    recipe, path = programme.recipe(transition), programme.folder(transition)
    tasks = load_sequence(recipe.sequence, programme.data)
    with RunFolder(path) as folder, chatter_to(path / "log.txt"):
        bind(folder, recipe, tasks)
        outcomes = Stage(path / "outcomes")
        if outcomes.has("seconds"):
            return 0.0
        probe = _prepare(recipe, tasks, programme.folder(transition.base), transition.learned)
        outcomes.cached("losses", probe.losses)
        for candidate in probe.candidates:
            checkpoints = outcomes.path / f"checkpoints-{candidate.index}"
            outcomes.cached(f"{candidate.index:02d}", partial(probe.outcome, candidate, checkpoints))
        seconds = {"cpu": round(time.process_time() - cpu, 1)}
        outcomes.cached("seconds", lambda: seconds)
    return time.perf_counter() - start


def _prepare(recipe: Recipe, tasks: Sequence[Task], run: Path, learned: int) -> Probe:
    """Load backbone and adapter as the run did (pipeline.run)."""
    pools = {t.id: pool_from_json(read_json(run / "candidates" / f"{t.file_name}.json"), t) for t in tasks}
    backbone = load_backbone(recipe.model)
    tasks = [backbone.chat.fit(task, [c.text for c in pools[task.id].candidates]) for task in tasks]
    adapter = METHODS[recipe.adapter.method].build(
        backbone, recipe.adapter, tasks=len(tasks), checkpointing=recipe.training.gradient_checkpointing
    )
    adapter.open_block(0, seed=recipe.seed)
    rows = [TrainingRow(tasks[0].instruction, e.input, e.answer) for e in tasks[0].train[:4]]
    check_packs(backbone, backbone.chat.encode(tasks[0], rows), gradients=True)
    return Probe(recipe, run, tasks, pools, backbone, adapter, learned)


def probe_rows(programme: Programme, transition: Transition) -> dict[str, Any]:
    """The results of a finished transition, small enough to keep. Losses in nats per answer token."""
    recipe = programme.recipe(transition)
    run, found = programme.folder(transition.base), Stage(programme.folder(transition) / "outcomes")
    tasks = load_sequence(recipe.sequence, programme.data)
    names = [task.key for task in tasks]
    losses = {s.index: s.loss for s in scores_from_json(read_json(found.path / "losses.json"))}
    task = tasks[transition.learned]
    pool = pool_from_json(read_json(run / "candidates" / f"{task.file_name}.json"), task)
    state = Stage(run / f"{transition.learned:02d}-{names[transition.learned - 1]}")
    following = Stage(run / f"{transition.learned + 1:02d}-{names[transition.learned]}")
    rows = []
    for index, loss in losses.items():
        outcome = read_json(found.path / f"{index:02d}.json")
        rows.append({**outcome, "text": pool.candidates[index].text, "loss": loss})
    return {
        "seed": transition.seed,
        "learned": transition.learned,
        "tasks": names,
        "before": state.record.scores,
        "rows": rows,
        "one_start": len({row["start"] for row in rows}) == 1,
        "repeats_the_run": rows[0]["scores"] == following.record.scores,
        "seconds": read_json(found.path / "seconds.json")["cpu"],
    }
