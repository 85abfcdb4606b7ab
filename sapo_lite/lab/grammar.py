"""A small grammar that gives many instructions with the same meaning.

An instruction is a core phrase inside a wrapper, followed by a hint that names the labels:

    core     "what is the sentiment of the [review|comment] ?"    one of each [a|b] slot is taken
    wrapper  "read the {noun} and answer the question : {core}"   plain, long or rare in register
    hint     "answer with positive or negative ."

A core phrase is a question (it ends in "?"), a noun phrase (it begins with "the", "a" or "whether")
or an imperative; each form has wrappers of its own. Pretraining uses the plain register often, the long one
less and the rare one hardly ever, and early phrases of a list more often than late ones. So a held-out task
has familiar instructions, unusual ones, and all between.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Register = Literal["plain", "long", "rare"]
REGISTERS: tuple[Register, ...] = ("plain", "long", "rare")


@dataclass(frozen=True)
class Phrasing:
    """The phrases of an instruction: core phrases from the most familiar to the rarest, and labels.

    `noun` is the input's name ("read the {noun} and ..."). `labels` are all possible answers; empty for a
    free answer.
    """

    noun: str
    cores: Sequence[str]
    labels: tuple[str, ...] = ()


_WRAPPERS: dict[str, dict[Register, list[str]]] = {
    "imperative": {
        "plain": [
            "{core} .",
            "your task is to {core} .",
            "please {core} .",
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
    },
    "question": {
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
    },
    "noun phrase": {
        "plain": ["find {core} .", "give {core} .", "write {core} .", "task : {core} .", "output {core} ."],
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
    },
}

_HINTS = [
    "answer with {either} .",
    "options : {listed} .",
    "choose from {listed} .",
    "reply with {either} only .",
    "the answer is {either} .",
]
_FREE_HINTS = ["write nothing else .", "give a short answer .", "only the answer , please ."]


def form(core: str) -> str:
    """The form of a core phrase: "question", "noun phrase" or "imperative"."""
    if core.endswith("?"):
        return "question"
    return "noun phrase" if re.match(r"(the|an?|whether)\b", core) else "imperative"


def plainest(core: str) -> str:
    """A core phrase with the first choice in every slot."""
    return re.sub(r"\[([^|\]]*)[^\]]*\]", r"\1", core)


def filled(core: str, rng: Random) -> str:
    """A core phrase with a choice drawn for every slot."""
    return re.sub(r"\[([^\]]*)\]", lambda slot: rng.choice(slot[1].split("|")), core)


def wrapped(core: str, noun: str, register: Register, rng: Random) -> str:
    """A core phrase, its slots filled, inside a wrapper of the register."""
    text = rng.choice(_WRAPPERS[form(core)][register]).format(core=filled(core, rng), noun=noun)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def either(labels: Sequence[str]) -> str:
    """Labels in a row: `yes or no`, `A , B or C`."""
    *others, last = labels
    return f"{' , '.join(others)} or {last}"


def hint(labels: Sequence[str], rng: Random | None = None) -> str:
    """A sentence that names the labels, or asks for a bare answer if there are none.

    Without `rng` it is the first such sentence, with `rng` a random one.
    """
    templates = _HINTS if labels else _FREE_HINTS
    template = rng.choice(templates) if rng else templates[0]
    if not labels:
        return template
    return template.format(either=either(labels), listed=" , ".join(labels))


def names_label(text: str, label: str) -> bool:
    """Whether the text has the label as a whole word in exact spelling."""
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text) is not None
