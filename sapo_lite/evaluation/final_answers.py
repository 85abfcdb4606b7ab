"""Final answers: extraction from a text, and the check that a rewrite keeps them (the reward's gate).

The gate and the tests after training use the same extraction, so an answer in another style is scored by its
content.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from typing import Any, Literal

from sapo_lite.data.labels import AROUND, label_of
from sapo_lite.data.language import words_of
from sapo_lite.evaluation.metrics import ExactMatch, mean_scores
from sapo_lite.types import Example, Task

Kind = Literal["label", "short", "free"]

# A task has short answers if its median reference has at most this many words (in Chinese, characters;
# Japanese has no spaces either). Names, numbers and single words of SUPERNI and TRACE have a median of 1, the
# shortest summaries one of 4.
SHORT, SHORT_UNSPACED = 3, 6

# Greedy up to the last marker; after it, the rest of the line, or the next line with text.
_MARKED = re.compile(
    r".*(?:\banswer\s+is\b|\banswer\s*[:：]|答案\s*[是为:：])[\s:：]*(\S[^\n]*)",
    flags=re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class Answers:
    """Extraction and comparison of the answers of a task."""

    kind: Kind
    labels: tuple[str, ...] = ()

    def final(self, text: str) -> str:
        """The final answer in the text.

        Label: the label that is given (sapo_lite.data.labels), else the text. Short answer: the text after
        the last "answer is" (or "answer:", "答案是"), else the last line, without case and outer punctuation.
        Free answer: the whole text.
        """
        text = text.strip()
        if self.kind == "label":
            label = label_of(text, self.labels)
            return text if label is None else label
        if self.kind == "short":
            marked = _MARKED.match(text)
            last = marked[1] if marked else (text.splitlines() or [""])[-1]
            words = (word.strip(AROUND) for word in last.casefold().split())
            return " ".join(word for word in words if word) or last
        return text

    def consistent(self, rewrite: str, reference: str, threshold: float) -> bool:
        """Whether the rewrite has the reference's content: the gate.

        Label: the rewrite gives the reference's label. Short answer: the final answers are
        equal. Free answer: the ROUGE-L F1 of the words (in Chinese, characters) is at least `threshold`.
        """
        if not rewrite.strip():
            return False
        if self.kind == "label":
            label = label_of(rewrite, self.labels)
            return label is not None and label == label_of(reference, self.labels)
        if self.kind == "short":
            return self.final(rewrite) == self.final(reference)
        return bool(_rouge_of_words().score(reference, rewrite)["rougeL"].fmeasure >= threshold)


def answers_of(task: Task) -> Answers:
    """The kind of the task's answers: labels; short (at least half of the training answers); or free."""
    if task.labels:
        return Answers("label", task.labels)
    words = median(len(words_of(example.answer)) for example in task.train)
    short = SHORT_UNSPACED if task.language in ("zh", "ja") else SHORT
    return Answers("short" if words <= short else "free")


def extracted_scores(
    task: Task, predictions: Sequence[str], exact: ExactMatch = "strict"
) -> dict[str, float]:
    """Mean scores of the predictions' final answers, in percent, under names such as `rougeL_extracted`."""
    answers = answers_of(task)
    references = tuple(Example(e.input, answers.final(e.answer)) for e in task.test)
    scores = mean_scores([answers.final(each) for each in predictions], replace(task, test=references), exact)
    return {f"{metric}_extracted": score for metric, score in scores.items()}


class _Words:
    """Tokenizer for rouge-score, whose own one handles Latin letters only."""

    @staticmethod
    def tokenize(text: str) -> list[str]:
        return words_of(text)


@cache
def _rouge_of_words() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())
