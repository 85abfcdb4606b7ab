"""Frames: instruction templates that many families share, filled with other words.

A model trained on a frame with a dozen fillings understands it with a new one. So what it learns under one
instruction transfers to another. The first frames of a list are drawn most often (`pretraining.mixture`).
"""

from collections.abc import Sequence

from sapo_lite.lab.grammar import Phrasing, either, plainest

YES_NO = ("yes", "no")
LETTERS = ("A", "B", "C")


def classify(attribute: str, thing: str, labels: Sequence[str], *more: str) -> Phrasing:
    """Frames that ask for one of the labels: `classify("sentiment", "review", ("positive", "negative"))`"""
    one = either(labels)
    cores = [
        f"decide [whether|if] the {thing} is {one}",
        f"what is the {attribute} of the {thing} ?",
        f"the {attribute} of the {thing}",
        f"classify the {attribute} of the {thing}",
        f"is the {thing} {one} ?",
        f"label the {thing} as {one}",
        f"name the {attribute} of the {thing}",
        f"[say|tell me] [whether|if] the {thing} is {one}",
        *more,
        f"which {attribute} does the {thing} [have|show] ?",
        f"judge the {attribute} of the {thing}",
        f"whether the {thing} is {one}",
        f"sort the {thing} by its {attribute}",
        f"how would you describe the {attribute} of the {thing} ?",
        f"mark the {thing} as {one}",
    ]
    return Phrasing(plainest(thing), cores, tuple(labels))


def check(thing: str, claim: str, question: str, *more: str) -> Phrasing:
    """Yes or no: `check("list", "the list contains a {kind}", "does the list contain a {kind} ?")`"""
    cores = [
        f"decide [whether|if] {claim}",
        question,
        f"whether {claim}",
        f"say yes if {claim}",
        f"check [whether|if] {claim}",
        f"is it [true|right] that {claim} ?",
        *more,
        f"[tell me|judge] [whether|if] {claim}",
        f"a check of whether {claim}",
        f"answer yes if {claim} and no otherwise",
    ]
    return Phrasing(plainest(thing), cores, YES_NO)


def extract(target: str, source: str, *more: str) -> Phrasing:
    """Frames that ask to copy a part of a text: `extract("[city|town]", "[text|sentence]")`"""
    cores = [
        f"find the {target} in the {source}",
        f"what is the {target} in the {source} ?",
        f"the {target} in the {source}",
        f"extract the {target} from the {source}",
        f"which {target} is [mentioned|named] ?",
        f"name the {target}",
        *more,
        f"copy the {target} from the {source}",
        f"the {target} that the {source} [mentions|names]",
        f"which {target} does the {source} [mention|name] ?",
        f"write the {target} that is [mentioned|named]",
    ]
    return Phrasing(plainest(source), cores)


def give(target: str, thing: str, *more: str) -> Phrasing:
    """Frames that ask for something related to the input: `give("opposite", "word")`"""
    cores = [
        f"[give|write] the {target} of the {thing}",
        f"what is the {target} of the {thing} ?",
        f"the {target} of the {thing}",
        f"find the {target} of the {thing}",
        f"name the {target}",
        *more,
        f"which is the {target} of this {thing} ?",
        f"say what the {target} of the {thing} is",
        f"the {target} that belongs to the {thing}",
    ]
    return Phrasing(thing, cores)


def extreme(adjective: str, thing: str, measure: str, end: str, source: str = "list") -> Phrasing:
    """Frames that ask for the largest or smallest: `extreme("tallest", "person", "height", "highest")`"""
    cores = [
        f"find the {adjective} {thing}",
        f"which {thing} is the {adjective} ?",
        f"the {adjective} {thing}",
        f"name the {adjective} {thing}",
        f"the {thing} with the {end} {measure}",
        f"which {thing} has the {end} {measure} ?",
        f"find out which {thing} is the {adjective}",
        f"compare the numbers and give the {adjective} {thing}",
        f"what is the name of the {adjective} {thing} ?",
        f"give the {thing} whose {measure} is the {end}",
    ]
    return Phrasing(source, cores)


def pick(target: str, is_it: str, source: str = "list") -> Phrasing:
    """Frames that ask for one word of several: `pick("the {kind}", "is a {kind}")`"""
    cores = [
        f"[find|pick|choose] {target}",
        f"which [word|item] {is_it} ?",
        f"the [word|item] that {is_it}",
        f"[find|pick|choose] the [word|item] that {is_it}",
        f"what is {target} in the {source} ?",
        f"give the [word|item] that {is_it}",
        f"[select|name] the only [word|item] that {is_it}",
        f"the one [word|item] in the {source} that {is_it}",
    ]
    return Phrasing(source, cores)


def option(target: str, is_it: str, noun: str = "menu", letters: Sequence[str] = LETTERS) -> Phrasing:
    """The letter of an option: `option("the [reply|answer]", "fits the message", "dialogue")`"""
    cores = [
        f"[choose|pick|select] {target}",
        f"which option {is_it} ?",
        f"the letter of the option that {is_it}",
        f"[choose|pick|select] the option that {is_it}",
        f"the letter of {target}",
        f"which option is {target} ?",
        f"find the option that {is_it}",
        f"which letter stands before {target} ?",
        f"the option that {is_it}",
        f"match the {noun} with {target}",
    ]
    return Phrasing(noun, cores, tuple(letters))


def count(things: str, source: str = "list") -> Phrasing:
    """Frames that ask for a number: `count("[words|items]")`"""
    cores = [
        f"count the {things}",
        f"how many {things} are there ?",
        f"the number of {things}",
        f"say how many {things} there are",
        f"what is the number of {things} in the {source} ?",
        f"find out how many {things} the {source} has",
        f"the count of {things} in the {source}",
        f"how many {things} does the {source} [have|hold] ?",
    ]
    return Phrasing(source, cores)


def turn(source: str, commands: Sequence[str], results: Sequence[str]) -> Phrasing:
    """Rewrite the input: `turn("list", ["reverse the list"], ["the list in reverse order"])`"""
    cores = [phrase for pair in zip(commands, results, strict=False) for phrase in pair]
    cores += [f"what is {results[0]} ?", *commands[len(results) :], *results[len(commands) :]]
    cores += [f"change the {source} into {result}" for result in results]
    return Phrasing(source, cores)
