"""What an answer finally says, and whether a rewrite still says it: the hard gate of the reward.

One function reads final answers, for the gate and for the tests after training: so an answer in another
style is scored by what it says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any, Literal

from sapo_lite.data.language import words_of
from sapo_lite.evaluation.metrics import mean_scores
from sapo_lite.prompts.gate import stated_labels
from sapo_lite.types import Example, Language, Task

Kind = Literal["label", "short", "free"]

# Words of a task's median reference up to which its answers are short; in Chinese, characters. Names, numbers
# and single words of SUPERNI and TRACE have a median of 1, its shortest summaries one of 4.
SHORT: dict[Language, int] = {"en": 3, "zh": 6}

# Greedy up to the last of the marks; behind it, the rest of the line, or the next line that has any.
_MARKED = re.compile(
    r".*(?:\banswer\s+is\b|\banswer\s*[:：]|答案\s*[是为:：])[\s:：]*(\S[^\n]*)",
    flags=re.DOTALL | re.IGNORECASE,
)
# Punctuation that may stand around a word without being part of it. Signs of numbers (- % $) are not here.
_AROUND = ".,;:!?\"'`()[]{}<>*_…。，、；：！？“”‘’（）【】《》「」"


@dataclass(frozen=True)
class Answers:
    """How the answers of a task are read and compared."""

    kind: Kind
    labels: tuple[str, ...] = ()

    def final(self, text: str) -> str:
        """What the text says in the end.

        A label: the one that is named, if just one is, else the text. A short answer: what follows the
        last "answer is" (or "answer:", "答案是"), else the last line, without case and outer punctuation.
        A free answer: the text.
        """
        text = text.strip()
        if self.kind == "label":
            named = stated_labels(text, self.labels)
            return named[0] if len(named) == 1 else text
        if self.kind == "short":
            marked = _MARKED.match(text)
            last = marked[1] if marked else (text.splitlines() or [""])[-1]
            words = (word.strip(_AROUND) for word in last.casefold().split())
            return " ".join(word for word in words if word) or last
        return text

    def consistent(self, rewrite: str, reference: str, threshold: float) -> bool:
        """Whether the rewrite says what the reference does: the gate.

        A label: exactly one is named, that of the reference. Short answers: what is said in the end is
        equal. Free answers: the ROUGE-L F1 of the words (in Chinese, characters) is at least `threshold`.
        """
        if not rewrite.strip():
            return False
        if self.kind == "label":
            named = stated_labels(rewrite, self.labels)
            return len(named) == 1 and named == stated_labels(reference, self.labels)
        if self.kind == "short":
            return self.final(rewrite) == self.final(reference)
        return bool(_rouge_of_words().score(reference, rewrite)["rougeL"].fmeasure >= threshold)


def answers_of(task: Task) -> Answers:
    """The task has labels; or half its training answers or more are short; or its answers are free."""
    if task.labels:
        return Answers("label", task.labels)
    words = median(len(words_of(example.answer)) for example in task.train)
    return Answers("short" if words <= SHORT[task.language] else "free")


def extracted_scores(task: Task, predictions: Sequence[str]) -> dict[str, float]:
    """Mean scores of what predictions and references say in the end, in percent, as `rougeL_extracted`."""
    answers = answers_of(task)
    references = [Example(e.input, answers.final(e.answer)) for e in task.test]
    scores = mean_scores([answers.final(prediction) for prediction in predictions], references)
    return {f"{metric}_extracted": score for metric, score in scores.items()}


class _Words:
    """Words as rouge-score takes them; its own tokenizer knows Latin letters only."""

    @staticmethod
    def tokenize(text: str) -> list[str]:
        return words_of(text)


@cache
def _rouge_of_words() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())
