"""Answers to new rows by the model of a stage, in batches that a killed process need not repeat."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.data.labels import label_of
from sapo_lite.data.new_rows import NewRows
from sapo_lite.errors import DataError, RunFolderError
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.checksums import NAME as SUMS
from sapo_lite.support.files import sha256
from sapo_lite.support.progress import Progress
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.run.answering import Answers

ANSWER, LABEL, PROBABILITY, PROBABILITIES = (
    "predicted_answer",
    "predicted_label",
    "probability",
    "probabilities",
)
ENDINGS = (".csv", ".jsonl")
_PLACES = 6  # of probabilities
# Batches whose answers are written at a time.
_BATCHES = 4


@dataclass(frozen=True)
class Prediction:
    """An answer of the model to an input.

    label: of the task's labels, the one that the answer gives; None if it gives none or there are none
    probability: of this label, among the labels; of a free answer, that of all its tokens
    probabilities: of the labels, of each as the whole answer; they add up to 1
    """

    answer: str
    label: str | None
    probability: float | None
    probabilities: dict[str, float]


def predict(answers: "Answers", task: Task, texts: Sequence[str]) -> list[Prediction]:
    """Predictions for inputs, in one go."""
    given = answers.answer(task, texts)
    if not task.labels:
        nll = answers.losses(task, list(zip(texts, given, strict=True)))
        return [
            Prediction(answer, None, math.exp(-loss), {}) for answer, loss in zip(given, nll, strict=True)
        ]
    pairs = [(text, label) for text in texts for label in task.labels]
    nll, count = answers.losses(task, pairs), len(task.labels)
    found = []
    for row, answer in enumerate(given):
        shares = _shares(nll[row * count : (row + 1) * count])
        by_label = dict(zip(task.labels, shares, strict=True))
        label = label_of(answer, task.labels)
        found.append(Prediction(answer, label, by_label.get(label) if label else None, by_label))
    return found


def _shares(losses: Sequence[float]) -> list[float]:
    """exp(-loss), scaled to a sum of 1."""
    best = min(losses)
    weights = [math.exp(best - loss) for loss in losses]
    return [weight / sum(weights) for weight in weights]


class PredictionFile:
    """The file of predictions, and beside it a hidden one with those that were made so far.

    Raises:
        DataError: the file has another ending, exists, or would hold two columns of one name.
        RunFolderError: the hidden file is of other rows, or of another task or stage.
    """

    def __init__(self, path: Path, snapshot: Snapshot, task: Task, new: NewRows) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise DataError(f"--out {path}: expected a name that ends with {' or '.join(ENDINGS)}")
        if path.exists():
            raise DataError(f"--out {path} exists. Delete it, or choose another name.")
        own = (ANSWER, LABEL, PROBABILITY, PROBABILITIES)
        if twice := next((name for name in own if any(name in row for row in new.rows)), None):
            raise DataError(f"expected no column {twice}, which is written, found one. Rename it.")
        self.path, self._new, self._task = path, new, task
        self._partial = path.with_name(f".{path.name}.partial")
        self.made = self._begin(_identity(snapshot, task, new))

    def _begin(self, identity: str) -> list[Prediction]:
        """What an earlier process has made. The file is cut behind it: its last line may be half a line."""
        if not self._partial.exists():
            self._partial.write_text(f"{identity}\n", encoding="utf-8")
        first, *lines = self._partial.read_text(encoding="utf-8").splitlines(keepends=True)
        if first != f"{identity}\n":
            raise RunFolderError(
                f"{self._partial} holds predictions for other rows, or of another task or stage. Delete it, "
                "or choose another --out."
            )
        whole = [line for line in lines if line.endswith("\n")]
        if whole != lines:
            self._partial.write_text(first + "".join(whole), encoding="utf-8")
        return [Prediction(**json.loads(line)) for line in whole]

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions for the next rows."""
        with self._partial.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(vars(one))}\n" for one in predictions)
        self.made += predictions

    def finish(self) -> None:
        """Write the file with the columns of the rows and those of the predictions."""
        rows = [row | _columns(one, self._task) for row, one in zip(self._new.rows, self.made, strict=True)]
        as_text = _as_csv if self.path.suffix.lower() == ".csv" else _as_jsonl
        self._partial.write_text(as_text(rows), encoding="utf-8", newline="")
        self._partial.replace(self.path)


def _identity(snapshot: Snapshot, task: Task, new: NewRows) -> str:
    adapter = sha256(snapshot.adapter / SUMS) if snapshot.adapter else "none"
    of = [adapter, task.key, snapshot.prompts[task.key], new.rows, new.texts]
    return hashlib.sha256(json.dumps(of, default=str).encode()).hexdigest()


def _columns(one: Prediction, task: Task) -> dict[str, Any]:
    labelled = {LABEL: one.label} if task.labels else {}
    by_label = {label: round(share, _PLACES) for label, share in one.probabilities.items()}
    shares = {PROBABILITIES: by_label} if task.labels else {}
    probability = None if one.probability is None else round(one.probability, _PLACES)
    return {ANSWER: one.answer, **labelled, PROBABILITY: probability, **shares}


def _as_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table; without the probabilities of all labels, which are no text."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != PROBABILITIES))
    table = io.StringIO()
    writer = csv.DictWriter(table, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def predict_all(
    file: PredictionFile, answers: "Answers", task: Task, new: NewRows, progress: Progress
) -> None:
    """Make the predictions that are missing, and write the file."""
    texts, chunk = new.texts, _BATCHES * answers.snapshot.batch_size
    first = texts[:chunk]
    if first:
        pairs = [(text, label) for text in first for label in task.labels or ("yes",)]
        answers.check_losses(task, pairs, progress)
    with progress.work("predicting", len(texts), "rows") as meter:
        meter.advance(len(file.made))
        while len(file.made) < len(texts):
            begun = len(file.made)
            file.add(predict(answers, task, texts[begun : begun + chunk]))
            meter.advance(len(file.made) - begun)
    file.finish()
