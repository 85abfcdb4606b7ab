"""The families of pretraining: seeded, right by construction, and apart from the held-out tasks."""

import re
from itertools import product
from random import Random

import lab_checkers
from pretraining.families import FAMILIES
from pretraining.mixture import PretrainExample, pretrain_example
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import PHRASINGS, original, wordings
from sapo_lite.lab.world import examples


def test_a_family_is_seeded_and_its_instruction_fills_every_slot() -> None:
    def drawn(name: str, seed: int) -> list[PretrainExample]:
        rng = Random(seed)
        return [pretrain_example(FAMILIES[name], rng) for _ in range(30)]

    for name in FAMILIES:
        assert drawn(name, 1) == drawn(name, 1) != drawn(name, 2), name
        for one in drawn(name, 1):
            assert not set("[]|{}") & set(one.instruction), f"{name}: {one.instruction}"


def test_every_core_phrase_says_all_that_decides_the_answer() -> None:
    for name, family in FAMILIES.items():
        slots = family.draw(Random(0)).slots
        for core in family.phrasing.cores:
            assert set(re.findall(r"\{(\w+)\}", core)) == set(slots), f"{name}: {core}"


def test_a_family_gives_one_answer_to_one_question_and_only_labels_where_it_has_some() -> None:
    for name, family in FAMILIES.items():
        rng, answers = Random(3), dict[tuple[str, str], str]()
        for _ in range(1000):
            sample = family.draw(rng)
            question = (sample.input, str(sorted(sample.slots.items())))
            assert answers.setdefault(question, sample.answer) == sample.answer, f"{name}: {sample}"
        labels = family.phrasing.labels
        assert not labels or set(answers.values()) == set(labels), name


def test_a_familys_answers_are_right() -> None:
    assert len(lab_checkers.FAMILIES) >= 22
    for name, check in lab_checkers.FAMILIES.items():
        rng = Random(7)
        for _ in range(500):
            sample = FAMILIES[name].draw(rng)
            assert check(sample.input, sample.slots) == sample.answer, f"{name}: {sample}"


# Nothing held out is in pretraining


def readings(core: str) -> set[str]:
    """Every way to fill the [a|b] slots of a core phrase."""
    parts = [p.split("|") if n % 2 else [p] for n, p in enumerate(re.split(r"[\[\]]", core))]
    return {"".join(choice) for choice in product(*parts)}


def test_no_held_out_task_or_phrase_is_in_pretraining() -> None:
    assert set(TASKS).isdisjoint(FAMILIES)
    pretrained = {r for family in FAMILIES.values() for core in family.phrasing.cores for r in readings(core)}
    held_out = {r for phrasing in PHRASINGS.values() for core in phrasing.cores for r in readings(core)}
    assert pretrained.isdisjoint(held_out)


def test_no_example_of_pretraining_has_a_held_out_instruction_or_answers_a_held_out_input() -> None:
    rng = Random(11)
    drawn = [pretrain_example(family, rng) for family in FAMILIES.values() for _ in range(100)]
    instructions = {w for task in TASKS for w in [original(task), *wordings(task, 200, seed=1)]}
    assert instructions.isdisjoint(one.instruction for one in drawn)
    held_out = {(e.input, e.answer) for task in TASKS for e in examples(task, 300, seed=1)}
    assert held_out.isdisjoint((one.input, one.answer) for one in drawn)
