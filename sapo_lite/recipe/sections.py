"""The sections of a recipe and their settings. docs/faithful.md has the published values that differ."""

from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr, model_validator

from sapo_lite.errors import RecipeError
from sapo_lite.recipe.files import found_file
from sapo_lite.recipe.guard import GuardConfig
from sapo_lite.recipe.learning import AdapterConfig, RewriteConfig, TrainingConfig
from sapo_lite.recipe.needs import Needs, needs_of
from sapo_lite.recipe.prompting import ParaphraseConfig, PromptConfig
from sapo_lite.recipe.section import Section
from sapo_lite.recipe.tasks import TaskTables, with_own_tasks
from sapo_lite.recipe.tracking import TrackingConfig
from sapo_lite.recipe.values import (
    CHAT_TEMPLATES,
    ChatTemplate,
    Count,
    CountOrNone,
    OptionalCount,
    OptionalSeed,
    OptionalText,
    Paraphrases,
    Percent,
    Protocol,
    Seed,
    Switch,
    TaskIds,
    Text,
    WatchNames,
)
from sapo_lite.support.shipped import typed_path


class ModelConfig(Section):
    """The backbone: a hub name, a folder, a GGUF file (docs/models.md), or "lab". Lengths are in tokens.

    `dtype` is the number format to compute in. "auto" is bfloat16 on a GPU that computes in it, and on a CPU
    where a short trial shows that it is clearly faster; else float32. A run folder keeps the first choice.
    `loader` "auto" is Unsloth on a CUDA GPU and plain transformers elsewhere: on a CPU, Unsloth's kernels do
    not run, and importing it takes about ten seconds. `chat_template` is the model's own ("model"), "chatml"
    or "none" (plain text), for base models, or a file with a template.

    Over-long examples lose the end of their input ("input"): a prompt has at most `max_source_tokens`, and
    room is kept for an instruction of `max_instruction_tokens`, by default the task's longest candidate. With
    `cut` "right" they lose their last tokens, the answer first. With `answer_newline`, the white space that
    the template writes behind the end of an answer is learned and scored with it.
    """

    name: Text
    quantization: Literal["nf4", "none"] = "nf4"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    loader: Literal["auto", "unsloth", "transformers"] = "auto"
    chat_template: ChatTemplate = "model"
    max_source_tokens: Count = 1536
    max_answer_tokens: Count = 128
    max_instruction_tokens: OptionalCount = None
    cut: Literal["input", "right"] = "input"
    answer_newline: Switch = False

    def template_file(self) -> Path | None:
        """Absolute path of `chat_template` if it is a file: beside the recipe, else from here.

        Raises:
            RecipeError: there is no such file.
        """
        if self.chat_template in CHAT_TEMPLATES:
            return None
        return found_file("model.chat_template", self.chat_template, self._folder, Path.cwd())


class SequenceConfig(Section):
    """The tasks in the order of learning, and the number of examples of each.

    They are those of a suite, named in `tasks`, or the tables [[sequence.task]], of which `tasks` can choose
    some and order them. Rows are split and drawn by the seed `draw` (else 0), by label where labels are
    closed. Of published suites and of the lab, the first rows of every file are used unless `draw` is set.
    What `watch` names is tested at every stage and never trained: shipped sets ("general"), tasks of
    lm-evaluation-harness ("harness:arc_easy", or "harness:FILE.yaml"), and tasks of the suite.
    """

    suite: Text
    tasks: TaskIds
    task: TaskTables = ()
    train_examples: Count = 1000
    test_examples: Count = 1000
    draw: OptionalSeed = None
    watch: WatchNames = ()
    missing_train: Literal["error", "dev"] = "error"
    data: OptionalText = None

    _fill = model_validator(mode="before")(with_own_tasks)

    @property
    def folder(self) -> Path:
        """Folder of the recipe file."""
        return self._folder

    def data_folder(self) -> Path | None:
        """Absolute path of `data`: relative to the recipe file, else to the working directory."""
        if self.data is None:
            return None
        data = typed_path(self.data)
        places = [(folder / data).absolute() for folder in (self._folder, Path.cwd())]
        return next((place for place in places if place.is_dir()), places[0])


class ScoringConfig(Section):
    """Measurement of candidate losses: on the first `score_examples` training examples.

    With `race`, "sapo" stops scoring a candidate that is clearly not the best. There is no race with
    prompt.top_k, nor in the rescoring of prompt.rescore, nor with `reduction` "batch_mean" or model.cut
    "right". With `divided_scale`, k learned blocks act at alpha / (rank x k) while candidates are scored.
    With `drop_remainder`, only a multiple of that many examples is scored; 0 is for all.
    """

    score_examples: Count = 250
    race: Switch = True
    reduction: Literal["token_mean", "batch_mean"] = "token_mean"
    divided_scale: Switch = False
    drop_remainder: CountOrNone = 0

    def examples(self, available: int) -> int:
        """Number of examples to score on, of those available.

        Raises:
            RecipeError: dropping the remainder leaves none.
        """
        wanted = min(self.score_examples, available)
        kept = wanted - wanted % self.drop_remainder if self.drop_remainder else wanted
        if wanted and not kept:
            raise RecipeError(
                f"scoring.drop_remainder: expected at most {wanted}, the number of a task's training "
                f"examples to score on, found {self.drop_remainder}"
            )
        return kept


class EvaluationConfig(Section):
    """Tests of all tasks: with which prompts, and with how many answer tokens at most.

    "all" means the chosen prompt, the original, and the held-out paraphrases (paraphrase.held_out), which
    share the test examples. At the end of a run, each of the first `robustness` held-out paraphrases is
    tested on all examples; `threshold`, in percent of a task's metric, is the lowest score of a good one.
    `exact_match` "squad" compares without case, punctuation and white space.

    With `matrix`, each learned task is also tested with every other kind of prompt that there is: right after
    it was learned, and at the end. `other_run` is the folder of a finished run of the same tasks, whose
    chosen prompts are one more kind, "other".
    """

    prompts: Literal["chosen", "original", "both", "all"] = "both"
    max_new_tokens: Count = 128
    batch_size: Count = 16
    robustness: Paraphrases = 0
    threshold: Percent = 80.0
    exact_match: Literal["strict", "squad"] = "strict"
    matrix: Switch = False
    other_run: OptionalText = None

    def other_folder(self) -> Path | None:
        """Absolute path of `other_run`: relative to the recipe file, else to the working directory."""
        if self.other_run is None:
            return None
        places = [(folder / typed_path(self.other_run)).absolute() for folder in (self._folder, Path.cwd())]
        return next((place for place in places if place.is_dir()), places[-1])

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of prompt that all tasks are tested with at every stage."""
        several = {"both": ("chosen", "original"), "all": ("chosen", "original", "unseen")}
        return several.get(self.prompts, (self.prompts,))


class Recipe(Section):
    """All settings of a run. `name` comes from the file's name; it is not a key of the file.

    `protocol` "released" changes the defaults of settings so that the run repeats SAPO's released code,
    faults included; what the recipe sets is kept (docs/faithful.md).
    """

    name: str
    seed: Seed = 0
    protocol: Protocol = "corrected"
    model: ModelConfig
    sequence: SequenceConfig
    prompt: PromptConfig = PromptConfig()
    paraphrase: ParaphraseConfig = ParaphraseConfig()
    scoring: ScoringConfig = ScoringConfig()
    adapter: AdapterConfig = AdapterConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    rewrite: RewriteConfig = RewriteConfig()
    guard: GuardConfig = GuardConfig()
    tracking: TrackingConfig = TrackingConfig()

    # Notices about values that `load_recipe` changed. Not a setting, so they are not dumped.
    _notices: tuple[str, ...] = PrivateAttr(default=())

    @property
    def notices(self) -> tuple[str, ...]:
        """One sentence for each value that differs from the recipe's text."""
        return self._notices

    @property
    def needs(self) -> Needs:
        count, held_out = self.paraphrase.count, self.paraphrase.held_out
        return needs_of(self.prompt.model_dump(), self.adapter.method, count, held_out)

    @property
    def wants_candidates(self) -> bool:
        """Whether any paraphrases are made: to choose from, to test with, or to fit inputs to."""
        return self.needs.candidates or (self.paraphrase.always and self.paraphrase.wanted > 0)

    @property
    def test_kinds(self) -> tuple[str, ...]:
        """The kinds of prompt that learned tasks are tested with: at every stage, then of the matrix."""
        if not self.evaluation.matrix:
            return self.evaluation.kinds
        unseen, other = self.paraphrase.held_out > 0, self.evaluation.other_run is not None
        more = ["chosen", "original", *["unseen"] * unseen, *["other"] * other]
        return tuple(dict.fromkeys([*self.evaluation.kinds, *more]))

    def resolved(self) -> dict[str, Any]:
        """Every setting, with defaults, as plain JSON values; paths as written in the recipe.

        Without `tracking`, which changes no result: a run can go on with other trackers.
        """
        unset: dict[str, Any] = {} if self.sequence.task else {"sequence": {"task"}}
        return self.model_dump(mode="json", exclude={"tracking": True} | unset)
