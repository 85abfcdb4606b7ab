"""The sections of a recipe and what each may say. Defaults are the published settings."""

from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr

from sapo_lite.errors import RecipeError
from sapo_lite.recipe.learning import AdapterConfig, RewriteConfig, TrainingConfig
from sapo_lite.recipe.needs import Needs, needs_of
from sapo_lite.recipe.section import Section
from sapo_lite.recipe.values import (
    BaseUrl,
    Count,
    CountOrNone,
    NotNegative,
    OptionalSeed,
    OptionalText,
    Percent,
    Positive,
    Rescore,
    Sampling,
    Sources,
    StrategyName,
    Switch,
    TaskIds,
    Text,
)
from sapo_lite.support.messages import quoted
from sapo_lite.support.shipped import shipped, typed_path

# At this temperature, draws from nine pools of 21 wordings (the lab's and SUPERNI's, losses of the embedded
# backbone) had the entropy of uniform draws from 2 to 18, 13 in the median.
TEMPERATURE = 0.2


class ModelConfig(Section):
    """The backbone: a hub name, a local folder, or "lab" for the embedded one. Lengths in tokens."""

    name: Text
    quantization: Literal["nf4", "none"] = "nf4"
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    loader: Literal["unsloth", "transformers"] = "unsloth"
    max_source_tokens: Count = 1536
    max_answer_tokens: Count = 128


class SequenceConfig(Section):
    """Which tasks are learned, in order, and how many of each task's first examples are used.

    With `draw`, a seed, they are drawn: the first ones of every file in a random order of its rows.
    """

    suite: Text
    tasks: TaskIds
    train_examples: Count = 1000
    test_examples: Count = 1000
    draw: OptionalSeed = None
    missing_train: Literal["error", "dev"] = "error"
    data: OptionalText = None

    def data_folder(self) -> Path | None:
        """Absolute path of `data`: relative to the recipe file, else to the working directory."""
        if self.data is None:
            return None
        data = typed_path(self.data)
        places = [(folder / data).absolute() for folder in (self._folder, Path.cwd())]
        return next((place for place in places if place.is_dir()), places[0])


class PromptConfig(Section):
    """How a task's instruction is chosen: as published, by lowest or highest loss, or by chance.

    "paft" chooses none: it draws one after another while training, and keeps each for `hold`
    optimiser steps. `sampling` says how: as published; by "importance", with probabilities
    proportional to exp(-pre-update loss / temperature), since what SAPO would choose should be seen
    most (losses in nats per answer token); or "adversarial", of `draws` different ones the one of the
    highest loss at that moment, since what the model does worst with has most to teach.

    "sapo" may vary too. With `top_k`, it draws in the same way among so many of the lowest losses, and
    is tested with the very lowest; nothing races then. With `rescore`, all candidates are scored again
    on all scoring examples when an epoch begins; one whose loss is lower beyond chance takes over, and
    the last one is tested with.

    "rewrite" keeps the published one and rewrites the answers (section [rewrite]).
    """

    strategy: StrategyName = "sapo"
    sampling: Sampling = "uniform"
    hold: Count = 4
    temperature: Positive = TEMPERATURE
    draws: Count = 4
    top_k: Count = 1
    rescore: Rescore = "never"


class ParaphraseConfig(Section):
    """Where candidate wordings come from, and how many are wanted.

    `backend` names sources: each gives its share of `count`, and what one cannot give is left to the
    next. A source of models may name its own (`"ollama/qwen3:8b"`), otherwise it is `model`. Each
    missing paraphrase is asked for up to `attempts` times. `timeout` (one call) and `deadline` (all
    of a source) are in seconds. With `unlike`, a model is shown the candidates so far. `held_out`
    more paraphrases are made that are never scored or trained with, to test with.
    """

    backend: Sources = ("ollama",)
    count: CountOrNone = 20
    held_out: CountOrNone = 0
    minimum: CountOrNone = 1
    attempts: Count = 6
    temperature: NotNegative = 0.6
    unlike: Switch = False
    model: OptionalText = None
    host: OptionalText = None
    base_url: BaseUrl = None
    allow_cloud: Switch = False
    parallel: Count = 4
    timeout: Positive = 120.0
    deadline: Positive = 3600.0
    path: OptionalText = None

    @property
    def wanted(self) -> int:
        """Paraphrases to be made for a task."""
        return self.count + self.held_out

    def candidates_file(self) -> Path:
        """Absolute path of `path`, sought beside the recipe, in the shipped data, then from here.

        Raises RecipeError when it is unset or in none of these places.
        """
        if self.path is None:
            raise RecipeError("paraphrase.path: expected a file of candidates, found nothing")
        path = typed_path(self.path)
        folders = dict.fromkeys(folder.absolute() for folder in (self._folder, shipped("data"), Path.cwd()))
        for folder in folders:
            if (folder / path).is_file():
                return folder / path
        looked = ", ".join(str(folder) for folder in folders)
        raise RecipeError(f"paraphrase.path: no file {quoted(self.path)}; looked in {looked}")


class ScoringConfig(Section):
    """How candidate losses are measured: on the first `score_examples` training examples.

    With `race`, "sapo" measures a candidate until it is clearly not the best; not where it wants
    several (prompt.top_k), nor when it scores again (prompt.rescore).
    """

    score_examples: Count = 250
    race: Switch = True
    reduction: Literal["token_mean", "batch_mean"] = "token_mean"


class EvaluationConfig(Section):
    """How tasks are tested: with which of their prompts, and how many tokens an answer may take.

    "all" is both, and the paraphrases held out (paraphrase.held_out), each for its share of the examples.
    At the end of a run, the first `robustness` of these are tested on all examples each; `threshold`, in
    percent of ROUGE-L, is what a good one scores.
    """

    prompts: Literal["chosen", "original", "both", "all"] = "both"
    max_new_tokens: Count = 128
    batch_size: Count = 16
    robustness: CountOrNone = 0
    threshold: Percent = 80.0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of prompt that learned tasks are tested with."""
        several = {"both": ("chosen", "original"), "all": ("chosen", "original", "unseen")}
        return several.get(self.prompts, (self.prompts,))


class Recipe(Section):
    """All settings of a run. `name` comes from the file's name and is no key of the file.

    `protocol` "paper" scores all candidates on all examples, by the mean of batch means, as the released code
    does; in what else that code differs, docs/evaluation.md says.
    """

    name: str
    seed: CountOrNone = 0
    protocol: Literal["corrected", "paper"] = "corrected"
    model: ModelConfig
    sequence: SequenceConfig
    prompt: PromptConfig = PromptConfig()
    paraphrase: ParaphraseConfig = ParaphraseConfig()
    scoring: ScoringConfig = ScoringConfig()
    adapter: AdapterConfig = AdapterConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    rewrite: RewriteConfig = RewriteConfig()

    # What `load_recipe` changed in what was written, in sentences. No setting: it is not dumped.
    _notices: tuple[str, ...] = PrivateAttr(default=())

    @property
    def notices(self) -> tuple[str, ...]:
        """What differs from what was written, a sentence each."""
        return self._notices

    @property
    def needs(self) -> Needs:
        count, held_out = self.paraphrase.count, self.paraphrase.held_out
        return needs_of(self.prompt.model_dump(), self.adapter.method, count, held_out)

    @property
    def wants_candidates(self) -> bool:
        """Whether anything is paraphrased at all: where nothing is trained, only what is tested with."""
        return self.needs.candidates

    def resolved(self) -> dict[str, Any]:
        """Every setting, defaults filled in, as plain JSON values; paths as they were written."""
        return self.model_dump(mode="json")
