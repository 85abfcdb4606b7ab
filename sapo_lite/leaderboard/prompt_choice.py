"""The prompt of a training, chosen as it begins: a callback for TRL's SFTTrainer."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from sapo_lite.data.in_memory import as_examples
from sapo_lite.errors import DataError, RunFolderError
from sapo_lite.leaderboard.api import rank
from sapo_lite.leaderboard.external_model import reach
from sapo_lite.leaderboard.prompt_rows import (
    candidates,
    chat_format,
    cut_notice,
    encode,
    fit,
    make_task,
    require_options,
    unseen_answers,
)
from sapo_lite.model.chat import EncodedRow
from sapo_lite.run.progress import Silent
from sapo_lite.support.messages import quoted
from sapo_lite.types import Candidate, Language, Task

if TYPE_CHECKING:
    from datasets import Dataset

    from sapo_lite.leaderboard.board import Leaderboard

# Key of the choice in a checkpoint's trainer_state.json.
_KEPT = "sapo_lite.PromptChoice"
_IGNORED = -100  # label of a token without a loss


@dataclass
class _Rows:
    """The rows of a training under each prompt, rendered when they are first needed."""

    chat: Any
    task: Task
    pool: list[Candidate]
    chosen: int = 0

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[list[int]]]:
        """Rows by number, under the chosen prompt, as SFTTrainer's collator takes them."""
        rows = [self.encoded[self.chosen][number] for number in batch["row"]]
        return {
            "input_ids": [list(row.ids) for row in rows],
            "labels": [[_IGNORED] * row.answer_start + list(row.answer_ids) for row in rows],
        }

    @cached_property
    def encoded(self) -> dict[int, list[EncodedRow]]:
        return {one.index: encode(self.chat, self.task, one) for one in self.pool}

    @property
    def longest(self) -> int:
        return max(len(row.ids) for rows in self.encoded.values() for row in rows)


class PromptChoice(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Trains on the prompt that has the lowest answer loss under the model as the training begins.

        choice = PromptChoice(prompts, rows, tokenizer, suffix="Answer yes or no.")
        trainer = SFTTrainer(
            model,
            args=SFTConfig(output_dir="out", **choice.arguments),
            train_dataset=choice.dataset,
            processing_class=tokenizer,
            callbacks=[choice],
        )
        trainer.train()
        print(choice.board)

    Losses are those of `score_prompts`, of the answers alone; the training has the same rows and the same
    loss. A training that goes on from a checkpoint keeps its prompt. Of several processes, each one chooses.
    `board` is the leaderboard of the choice: None before it, and in a training that goes on.

    Args:
        prompts, tokenizer, suffix, language, limit, race, seed, max_tokens: as for `score_prompts`
        rows: all training rows, as the examples of `score_prompts`; the first `limit` are scored

    Raises:
        SapoLiteError: anything that a caller can fix; the message says how.
    """

    def __init__(
        self,
        prompts: Sequence[str],
        rows: Iterable[object],
        tokenizer: Any,
        *,
        suffix: str = "",
        language: Language = "en",
        limit: int = 250,
        race: bool = True,
        seed: int = 0,
        max_tokens: int | None = None,
    ) -> None:
        require_options(language, limit)
        self._notices: list[str] = []
        examples, pool = as_examples(rows, self._notices.append), candidates(prompts)
        own = tokenizer.model_max_length if tokenizer.model_max_length < 1e9 else None
        chat, self._longest = chat_format(tokenizer, None, own, max_tokens)
        every = make_task(examples, pool[0].text, suffix=suffix, language=language, limit=len(examples))
        task = fit(chat, every, [one.text for one in pool], self._longest)
        cut = cut_notice(every, task, self._longest)
        self._notices += [*unseen_answers(examples, limit), *([cut] if cut else [])]
        self._rows = _Rows(chat, task, pool)
        self._limit, self._race, self._seed = limit, race, seed
        self.board: Leaderboard | None = None

    @property
    def prompt(self) -> str:
        """The prompt that is trained on; before the training begins, the first one."""
        return self._rows.pool[self._rows.chosen].text

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that SFTConfig needs: the rows are rendered here, at the time of their batch."""
        skip = {"skip_prepare_dataset": True}
        return {"dataset_kwargs": skip, "remove_unused_columns": False, "max_length": None}

    @cached_property
    def dataset(self) -> "Dataset":
        """The training rows for SFTTrainer, under the chosen prompt whenever they are read."""
        from datasets import Dataset

        numbers = Dataset.from_dict({"row": list(range(len(self._rows.task.train)))})
        return numbers.with_transform(self._rows)

    def on_init_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check the trainer's arguments."""
        skipped = (args.dataset_kwargs or {}).get("skip_prepare_dataset")
        if not skipped or args.remove_unused_columns:
            raise DataError(
                "PromptChoice: expected its arguments in the trainer's config, found others. Write "
                "SFTConfig(..., **choice.arguments)."
            )

    def on_train_begin(
        self, args: Any, state: Any, control: Any, *, model: Any, train_dataloader: Any, **_: Any
    ) -> None:
        """Choose, or take the choice of the checkpoint that the training goes on from."""
        if train_dataloader.dataset is not self.dataset:
            raise DataError(
                "PromptChoice: expected train_dataset=choice.dataset, found another dataset, whose rows "
                "would keep their prompt."
            )
        if state.global_step:
            self._rows.chosen = self._kept(state.stateful_callbacks)
        else:
            self.board = self._score(model)
            self._rows.chosen = self.board.best.index
        state.stateful_callbacks[_KEPT] = {"prompt": self.prompt}

    def _score(self, model: Any) -> "Leaderboard":
        rows, task = self._rows, self._rows.task
        limit = reach(model, rows.chat.tokenizer)
        if limit is not None and rows.longest > limit:
            raise DataError(
                f"PromptChoice: expected rows of at most {limit} tokens, which is what the model reads, "
                f"found one of {rows.longest}. Give PromptChoice max_tokens={limit}."
            )
        scored = make_task(
            task.train, task.instruction, suffix=task.suffix, language=task.language, limit=self._limit
        )
        return rank(
            model,
            rows.chat.tokenizer,
            scored,
            rows.pool,
            race=self._race,
            seed=self._seed,
            max_tokens=self._longest,
            progress=Silent(warnings.warn),
            notices=self._notices,
        )

    def _kept(self, stateful: dict[str, Any]) -> int:
        """The number of the prompt that a checkpoint was trained on."""
        kept = stateful.get(_KEPT, {}).get("prompt")
        for one in self._rows.pool:
            if one.text == kept:
                return one.index
        found = "none" if kept is None else quoted(kept)
        raise RunFolderError(
            f"PromptChoice: expected a checkpoint that was trained on one of these prompts, found {found}. "
            "Give the same prompts, or train from the beginning."
        )
