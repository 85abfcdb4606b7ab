"""The recipe's sections on prompts: how one is chosen, and where candidates come from."""

from pathlib import Path
from typing import Literal

from sapo_lite.errors import RecipeError
from sapo_lite.recipe.files import found_file
from sapo_lite.recipe.section import Section
from sapo_lite.recipe.values import (
    BaseUrl,
    Calls,
    Count,
    CountOrNone,
    IndicatorName,
    NotNegative,
    OptionalText,
    Paraphrases,
    Positive,
    Rescore,
    Sampling,
    Sources,
    StrategyName,
    Switch,
)
from sapo_lite.support.shipped import shipped

# At this temperature, draws from nine pools of 21 candidates (the lab's and SUPERNI's, losses of the embedded
# backbone) had the entropy of uniform draws from 2 to 18 candidates, with a median of 13.
TEMPERATURE = 0.2


class PromptConfig(Section):
    """Choice of a task's prompt: the original, by lowest or highest loss, or at random.

    "paft" trains with many candidates: it draws one after another and keeps each for `hold` optimiser steps
    or, with `hold_unit` "rows", for `hold` training rows in the order of the file. Then an optimiser step has
    several candidates, and a row keeps its own in all epochs, as in the code of PAFT's authors (with hold 1).
    `sampling` is the kind of draw. "uniform" is that of PAFT's paper. "importance" has probabilities
    proportional to exp(-pre-update loss / temperature), so candidates that SAPO would choose are drawn most
    (losses in nats per answer token). "adversarial" draws `draws` different candidates and keeps the one with
    the highest current loss, since the model can learn most from it.

    "sapo" has variants. With `top_k`, it draws uniformly among that many candidates with the lowest losses,
    and is tested with the best one; there is no race then. With `rescore`, all candidates are scored again on
    all scoring examples at the start of every epoch; a candidate whose loss is significantly lower takes
    over, and the last one is used in tests.

    Losses are those of the model as it is when a task's turn comes. With `state` "base", the candidates of
    all tasks are scored on the untrained model, before the first training. `indicator` "accuracy" compares
    candidates by the score of greedy answers to the scoring examples (the highest is the best), "length" by
    their tokens (the fewest are the best); "worst" mirrors it. A tie goes to the earlier candidate.

    "rewrite" keeps the original instruction and rewrites the answers (section [rewrite]).
    """

    strategy: StrategyName = "sapo"
    sampling: Sampling = "uniform"
    hold: Count = 4
    hold_unit: Literal["steps", "rows"] = "steps"
    temperature: Positive = TEMPERATURE
    draws: Count = 4
    top_k: Count = 1
    rescore: Rescore = "never"
    state: Literal["current", "base"] = "current"
    indicator: IndicatorName = "loss"


class ParaphraseConfig(Section):
    """Sources and numbers of the candidates.

    `backend` names sources. Each gives its share of `count`; the next source makes up for missing ones. A
    model source may name its model (`"ollama/qwen3:8b"`), otherwise `model` is used. Each missing paraphrase
    is requested up to `attempts` times. `timeout` (one call) and `deadline` (all calls of a source) are in
    seconds. With `unlike`, requests show the candidates so far. `held_out` further paraphrases are made only
    for tests: they are never scored or trained with. With `always`, paraphrases are made even if nothing
    needs them, so that inputs are cut as they are for a strategy that does.

    A request is "varied" (a style and a length in turn) or "fixed" (the same every time, with markers around
    the answer). Without `gate`, every answer is taken as it is, and a call that failed to the end is an
    empty candidate.
    """

    backend: Sources = ("ollama",)
    count: Paraphrases = 20
    held_out: Paraphrases = 0
    minimum: CountOrNone = 1
    attempts: Calls = 6
    temperature: NotNegative = 0.6
    unlike: Switch = False
    request: Literal["varied", "fixed"] = "varied"
    gate: Switch = True
    always: Switch = False
    model: OptionalText = None
    host: OptionalText = None
    base_url: BaseUrl = None
    allow_cloud: Switch = False
    parallel: Calls = 4
    timeout: Positive = 120.0
    deadline: Positive = 3600.0
    path: OptionalText = None

    @property
    def wanted(self) -> int:
        """Number of paraphrases to make for a task."""
        return self.count + self.held_out

    def candidates_file(self) -> Path:
        """Absolute path of `path`, searched beside the recipe, in the shipped data, then from here.

        Raises:
            RecipeError: it is not set, or is in none of these places.
        """
        if self.path is None:
            raise RecipeError("paraphrase.path: expected a file of candidates, found nothing")
        return found_file("paraphrase.path", self.path, self._folder, shipped("data"), Path.cwd())
