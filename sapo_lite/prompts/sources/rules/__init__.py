"""Rewordings of any instruction by rules: offline, at once, without a model.

Text that must not change is first replaced by placeholders (`placeholders`): labels, numbers, quotes,
brackets, code, and everything after a colon or from the start of a list. The rest is recast as a whole
(`_recast`: "You are given X. Your task is to Y." -> "Given X, y."), then phrase by phrase (`_replace`), then
framed. The rules match patterns and know no grammar: text that matches none is only framed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TypeVar

from sapo_lite.prompts.gate import normalise
from sapo_lite.prompts.sources.rules.chinese import CHINESE
from sapo_lite.prompts.sources.rules.english import ENGLISH
from sapo_lite.prompts.sources.rules.forms import Form
from sapo_lite.prompts.sources.rules.placeholders import hide, label_pattern, show
from sapo_lite.types import Task

_T = TypeVar("_T")

_LONGEST = 20_000  # characters of an instruction: no model takes so long a one
_DRAWS = 3000  # limit of combinations tried: an instruction of many phrases has billions
_LOOK_AHEAD, _LOOK_BACK = 12, 4  # of the next 12 texts, the one least similar to the last 4 comes next
# Longest {x}, in characters, that may stand between a verb and its particle or object.
_LONGEST_WITHIN = 60
# "Task: Your task is to ..." says it twice.
_HEADING = re.compile("[:：]$")
_HEADED = re.compile("Your|The|What|In |Input|This|你的任务|你要做的|任务|输入")
# A word that may mean {x} cannot come before it.
_POINTS_BACK = re.compile(r"\b(?:it|its|this|these|those|they|them|their|each|both)\b", re.IGNORECASE)


def rewordings(task: Task, seed: int) -> Iterator[str]:
    """Different rewordings of the task's instruction, in an order drawn from `seed`.

    They are generated one by one until the rules have no more; neighbours differ from each other. An
    instruction of only punctuation has none, nor has one of more than 20,000 characters.
    """
    draws = map(_look, _combinations(task, seed))
    waiting = list(islice(draws, _LOOK_AHEAD))
    original = _look(task.instruction)
    recent: list[_Look] = []
    while waiting:
        best = min(waiting, key=lambda look: _likeness(look, [original, *recent]))
        waiting.remove(best)
        waiting.extend(islice(draws, 1))
        recent = [best, *recent][:_LOOK_BACK]
        yield best.text


@dataclass(frozen=True)
class _Look:
    """A text, its beginning, and its 4-grams of characters."""

    text: str
    start: str
    runs: frozenset[str]


def _look(text: str) -> _Look:
    plain = normalise(text)
    return _Look(text, plain[:4], frozenset(plain[i : i + 4] for i in range(len(plain))))


def _likeness(look: _Look, others: Sequence[_Look]) -> float:
    """Highest similarity of the text to one of the others, 0 to 2: shared 4-grams plus shared beginning."""
    return max(len(look.runs & o.runs) / len(look.runs | o.runs) + (look.start == o.start) for o in others)


def _combinations(task: Task, seed: int) -> Iterator[str]:
    """Random combinations of body, phrases, opening and closing; every text once, never the original."""
    original = task.instruction.strip()
    seen = {"", normalise(original)}
    if seen == {""} or len(original) > _LONGEST:
        return
    rules = CHINESE if task.language == "zh" else ENGLISH
    named = label_pattern(task.labels)
    hidden, spans = hide(original, task.labels)
    rng = Random(f"{seed}\n{task.id}\n{task.instruction}".encode(errors="surrogatepass"))
    bodies = _deck(rng, _recast(hidden, rules.forms))
    openings = _deck(rng, [*rules.openings, *[""] * (len(rules.openings) // 2)])
    closings = _deck(rng, [*rules.closings, *[""] * (2 * len(rules.closings))])
    phrases = [(p, _deck(rng, [*others, None])) for p, others in rules.phrases if p.search(hidden)]
    for _ in range(_DRAWS):
        body, is_plain = next(bodies)
        for pattern, choices in phrases:
            body = _replace(pattern, next(choices), body, task.labels)
        opening, closing = next(openings), next(closings)
        if not is_plain or (_HEADING.search(opening) and _HEADED.match(body)):
            opening = ""
        text = _join(opening, show(body, spans), closing, rules.space)
        plain = normalise(text)
        if plain not in seen and sorted(named.findall(text)) == sorted(named.findall(original)):
            seen.add(plain)
            yield text


def _deck(rng: Random, cards: Sequence[_T]) -> Iterator[_T]:
    """The cards in random order, shuffled again after each pass, so that all are drawn equally often."""
    while True:
        yield from rng.sample(cards, len(cards))


def _recast(text: str, forms: Sequence[Form]) -> list[tuple[str, bool]]:
    """The text and its other forms, and whether any opening may stand before it."""
    found = next(((form, match) for form in forms if (match := form.pattern.match(text))), None)
    if found is None:
        return [(text, True)]
    form, match = found
    bodies = [(text, bool(form.plain))]  # no opening sentence before a fragment of a sentence
    slots = {"end": "", **match.groupdict()}
    if y := slots.get("y"):
        slots |= {"y": y[0].lower() + y[1:], "Y": y[0].upper() + y[1:]}
    last = () if _POINTS_BACK.search(text) else form.last
    for template in (*form.plain, *form.framed, *last):
        if "{x} " in template and len(slots["x"]) > _LONGEST_WITHIN:
            continue
        # A template that ends {y} itself would put its mark after a list or code.
        if "{y" not in template.lower() or "{end}" in template or slots["end"]:
            bodies.append((template.format(**slots) + slots["rest"], template in form.plain))
    return bodies


def _replace(pattern: re.Pattern[str], other: str | None, text: str, labels: Sequence[str]) -> str:
    """The text with matches replaced by `other`, unless they may belong to a label or name."""

    def replaced(match: re.Match[str]) -> str:
        starts = _ends_a_sentence(text[: match.start()])
        is_name = any(letter.isupper() for letter in (match[0][1:] if starts else match[0]))
        if other is None or is_name or any(match[0].strip() in label for label in labels):
            return match[0]
        new = match.expand(other)
        return new[0].upper() + new[1:] if match[0][0].isupper() else new

    return pattern.sub(replaced, text)


def _ends_a_sentence(text: str) -> bool:
    """Whether a new sentence or line can begin behind the text."""
    bare = text.rstrip()
    return not bare or bare[-1] in ".?!:" or "\n" in text[len(bare) :]


def _join(opening: str, body: str, closing: str, space: str) -> str:
    """Opening, body and closing joined; on separate lines if the body has several lines or no full stop."""
    gap = "\n" if "\n" in body else space
    text = f"{opening}{gap}{body}" if opening else body
    ended = gap == space and body.endswith(tuple(".?!。？！"))
    return f"{text}{space if ended else chr(10)}{closing}" if closing else text
