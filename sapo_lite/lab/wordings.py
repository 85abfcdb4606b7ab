"""Many ways to say the same instruction: a small grammar, and nothing else.

A wording is a core phrase inside a wrapper, followed by a hint that names the labels:

    core     "rate the [review|comment] from 1 to 5 stars"    one of each [a|b] slot is taken
    wrapper  "your task is to {core} ."                       plain, long or rare in register
    hint     "answer with 1 , 2 , 3 , 4 or 5 ."

A core phrase has one of three forms (imperative, question, noun phrase), each with wrappers of
its own. The backbone has met the plain register often, the long one less and the rare one hardly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.world import TASKS

SUFFIX = "answer :"  # closes the prompt of every lab task

_REVIEW = "[review|comment|feedback|opinion]"


@dataclass(frozen=True)
class Phrasing:
    """A task's core phrases by form, and what its input is called ("read the {noun} and ...")."""

    noun: str
    imperatives: Sequence[str]
    questions: Sequence[str]
    noun_phrases: Sequence[str]


PHRASINGS: dict[str, Phrasing] = {
    "stars": Phrasing(
        noun="review",
        imperatives=[
            f"rate the {_REVIEW} from 1 to 5 stars",
            f"give the star rating of the {_REVIEW}",
            "score the product from 1 to 5",
        ],
        questions=[f"how many stars does the {_REVIEW} give ?", "what is the rating from 1 to 5 ?"],
        noun_phrases=[
            f"the number of stars of the {_REVIEW}",
            "the star rating",
            "the score of the opinion from 1 to 5",
        ],
    ),
    "odd_one_out": Phrasing(
        noun="list",
        imperatives=[
            "[find|pick|choose] the odd one out",
            "[find|pick|choose] the [word|item] that does not [fit|belong]",
            "give the [word|item] that is of a different kind",
        ],
        questions=[
            "which [word|item] does not [fit|belong] ?",
            "which [word|item] is different from the others ?",
        ],
        noun_phrases=[
            "the odd one out",
            "the [word|item] that does not belong",
            "the [word|item] of a different type",
        ],
    ),
    "translation": Phrasing(
        noun="words",
        imperatives=[
            "decide [whether|if] the translation is [right|correct]",
            "check the translation of the zumi word",
            "say yes if the english word matches the zumi word",
        ],
        questions=[
            "is the translation [right|correct] ?",
            "does the zumi word mean the english word ?",
        ],
        noun_phrases=["whether the translation is [right|correct]", "a check of the translation"],
    ),
    "title": Phrasing(
        noun="article",
        imperatives=[
            "[choose|pick|select] the [best|right] title",
            "[choose|pick|select] the title that fits the [text|article]",
            "match the [text|article] with its headline",
        ],
        questions=["which title fits [best|the text] ?", "which option is the [best|right] title ?"],
        noun_phrases=["the letter of the best title", "the option with the right headline"],
    ),
    "oldest": Phrasing(
        noun="records",
        imperatives=[
            "name the [oldest|older] person",
            "find out who is the oldest",
            "compare the ages and give the name",
        ],
        questions=["who is the oldest ?", "which person has the highest age ?"],
        noun_phrases=["the name of the oldest person", "the person with the highest age"],
    ),
    "mood": Phrasing(
        noun="message",
        imperatives=[
            "decide [whether|if] the speaker feels well or unwell",
            "label the mood of the speaker as bright or dark",
        ],
        questions=["is the mood of the speaker bright or dark ?"],
        noun_phrases=["the mood of the speaker", "the mood of the message"],
    ),
}

# Wrappers by form of the core phrase, then by register.
_REGISTERS = ("plain", "long", "rare")
_IMPERATIVE_WRAPPERS = {
    "plain": [
        "{core} .",
        "please {core} .",
        "your task is to {core} .",
        "read the {noun} and {core} .",
        "{core} , please .",
        "i want you to {core} .",
    ],
    "long": [
        "you will be given a {noun} . {core} .",
        "in this task , you have to {core} .",
        "look at the {noun} below and {core} .",
        "here is a {noun} . your job is to {core} .",
        "you are a helpful assistant . {core} and write only the answer .",
    ],
    "rare": [
        "be so kind as to {core} .",
        "it is required that the operator {core} .",
        "thou shalt {core} .",
        "we humbly ask thee to {core} .",
        "pursuant to the guidelines , kindly {core} forthwith .",
        "yo buddy , {core} asap lol .",
        "imagine you are an expert wizard ; now {core} without further ado .",
    ],
}
_QUESTION_WRAPPERS = {
    "plain": ["{core}", "question : {core}", "tell me , {core}", "{core} answer shortly ."],
    "long": [
        "read the {noun} and answer the question : {core}",
        "here is a {noun} . {core}",
        "based on the {noun} , {core}",
    ],
    "rare": [
        "prithee , {core}",
        "riddle me this : {core}",
        "hey assistant dude , {core}",
        "query >> {core} <<",
    ],
}
_NOUN_PHRASE_WRAPPERS = {
    "plain": [
        "what is {core} ?",
        "give {core} .",
        "output {core} .",
        "find {core} .",
        "task : {core} .",
        "write {core} .",
    ],
    "long": [
        "read the {noun} carefully . then determine {core} .",
        "your goal is to produce {core} .",
        "given the {noun} , return {core} .",
    ],
    "rare": [
        "ascertain {core} .",
        "objective :: {core} .",
        "extrapolate {core} from the material hereunder .",
        "deliverable = {core} ;",
        "thy quest : {core} .",
        "kindly furnish {core} at thy earliest convenience .",
    ],
}

_HINTS = [
    "answer with {either} .",
    "options : {listed} .",
    "choose from {listed} .",
    "reply with {either} only .",
    "the answer is {either} .",
]


def original(task: str) -> str:
    """The instruction that a lab task is published with: its first imperative, plainly put."""
    core = re.sub(r"\[([^|\]]*)[^\]]*\]", r"\1", PHRASINGS[task].imperatives[0])
    wording = f"your task is to {core} ."
    return f"{wording} {_hint(_HINTS[0], task)}" if TASKS[task].labels else wording


def wordings(task: str, count: int, seed: int) -> list[str]:
    """`count` different wordings of a lab task's instruction, none of them the original.

    Registers are drawn with equal chance, and every wording names all labels of the task. A
    longer list with the same seed begins with the shorter one.
    """
    rng = Random(f"{task}/{seed}")
    unwanted, found = original(task), dict[str, None]()
    tries = 100 * (count + 10)  # small grammars repeat themselves long before this
    for _ in range(tries):
        if len(found) == count:
            break
        wording = _wording(task, rng)
        if wording != unwanted:
            found[wording] = None
    if len(found) < count:
        raise ParaphraseError(
            f"expected {count} different wordings of the lab task {task!r}, "
            f"found {len(found)} in the grammar: ask for fewer"
        )
    return list(found)


def names_label(text: str, label: str) -> bool:
    """Whether the text holds the label as a word of its own, spelled exactly."""
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text) is not None


def _wording(task: str, rng: Random) -> str:
    """Draw a register, a form, a core phrase, a wrapper and a hint."""
    phrasing = PHRASINGS[task]
    register = rng.choice(_REGISTERS)
    cores, wrappers = rng.choice(
        [
            (phrasing.imperatives, _IMPERATIVE_WRAPPERS),
            (phrasing.questions, _QUESTION_WRAPPERS),
            (phrasing.noun_phrases, _NOUN_PHRASE_WRAPPERS),
        ]
    )
    core = re.sub(r"\[([^\]]*)\]", lambda slot: rng.choice(slot[1].split("|")), rng.choice(cores))
    wording = rng.choice(wrappers[register]).format(core=core, noun=phrasing.noun)

    hints = list(_HINTS) if TASKS[task].labels else []
    if all(names_label(core, label) for label in TASKS[task].labels):
        hints += ["", ""]  # nothing left to name: some wordings go without a hint
    hint = rng.choice(hints)
    return f"{wording} {_hint(hint, task)}" if hint else wording


def _hint(template: str, task: str) -> str:
    """Fill a hint with the task's labels: `yes or no`, `A , B or C`, `A , B , C`."""
    *others, last = TASKS[task].labels
    return template.format(either=f"{' , '.join(others)} or {last}", listed=" , ".join([*others, last]))
