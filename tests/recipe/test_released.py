"""`protocol = "released"`: it changes defaults only, and every switch can be set alone."""

from collections.abc import Callable

import pytest

from sapo_lite.errors import RecipeError
from sapo_lite.recipe import flat, load_recipe, released_switches
from sapo_lite.recipe.released import RELEASED, RELEASED_WITH
from sapo_lite.support.messages import as_toml

WRITE = Callable[..., str]
# A method or strategy's own settings, by the override that chooses it.
CASES = {"": RELEASED} | {f"{key}={value}": own for (key, value), own in RELEASED_WITH.items()}
SWITCHES = [(chosen, key) for chosen, settings in CASES.items() for key in settings]


def settings_of(spec: str, *overrides: str) -> dict[str, object]:
    return flat(load_recipe(spec, [one for one in overrides if one]).resolved())


@pytest.mark.parametrize("chosen", CASES)
def test_the_protocol_gives_every_switch_and_nothing_else(write_recipe: WRITE, chosen: str) -> None:
    before = settings_of(write_recipe(), chosen)
    after = settings_of("x.toml", chosen, "protocol=released")
    expected = RELEASED | CASES[chosen]
    assert {key: after[key] for key in after if after[key] != before[key]} == {
        "protocol": "released",
        **expected,
    }


@pytest.mark.parametrize(("chosen", "key"), [pair for pair in SWITCHES if pair[1] != "scoring.race"])
def test_a_recipe_overrides_every_switch_alone(write_recipe: WRITE, chosen: str, key: str) -> None:
    released = settings_of(write_recipe(), chosen, "protocol=released")
    default = settings_of("x.toml", chosen)[key]
    value = 3 if default is None else default
    found = settings_of("x.toml", chosen, "protocol=released", f"{key}={as_toml(value)}")
    assert {name: found[name] for name in found if found[name] != released[name]} == {key: value}


@pytest.mark.parametrize(("chosen", "key"), SWITCHES)
def test_every_switch_can_be_taken_alone(write_recipe: WRITE, chosen: str, key: str) -> None:
    value = CASES[chosen][key]
    before = settings_of(write_recipe(), chosen)
    found = settings_of("x.toml", chosen, f"{key}={as_toml(value)}")
    changed = {name: found[name] for name in found if found[name] != before[name]}
    assert changed.pop(key) == value
    assert changed in ({}, {"scoring.race": False})


def test_a_race_needs_the_mean_over_tokens_and_whole_answers(write_recipe: WRITE) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe(write_recipe(), ["protocol=released", "scoring.race=true"])
    assert 'found "batch_mean" (protocol is "released")' in str(refused.value)
    assert 'found "right" (protocol is "released")' in str(refused.value)
    again = ["scoring.race=true", "scoring.reduction=token_mean", "model.cut=input"]
    assert load_recipe("x.toml", ["protocol=released", *again]).scoring.race


def test_the_protocol_named_paper_is_gone_and_its_successors_are_named(write_recipe: WRITE) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe(write_recipe(before='protocol = "paper"\n'))
    assert str(refused.value) == (
        'x.toml, line 1: protocol: expected "corrected" or "released", found "paper", which is gone: '
        '"released" repeats the released code; what "paper" set is scoring.reduction = "batch_mean"'
    )


def test_the_switches_that_are_on_are_listed(write_recipe: WRITE) -> None:
    assert released_switches(load_recipe(write_recipe())) == []
    alone = load_recipe("x.toml", ["model.cut=right"])
    assert released_switches(alone) == ['model.cut = "right"', "scoring.race = false"]
    every = released_switches(load_recipe("x.toml", ["protocol=released"]))
    assert every == [f"{key} = {as_toml(value)}" for key, value in RELEASED.items()]


def test_so_many_examples_are_scored_that_eight_divide_them(write_recipe: WRITE) -> None:
    scoring = load_recipe(write_recipe(), ["scoring.drop_remainder=8"]).scoring
    assert [scoring.examples(rows) for rows in (1000, 250, 249, 9, 8)] == [248, 248, 248, 8, 8]
    with pytest.raises(RecipeError, match=r"scoring\.drop_remainder: expected at most 7, .* found 8"):
        scoring.examples(7)
