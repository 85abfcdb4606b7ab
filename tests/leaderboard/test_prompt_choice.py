"""`PromptChoice`: TRL's trainer learns on the prompt of lowest loss, with the loss that chose it."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from random_backbone import random_backbone
from sapo_lite import PromptChoice, score_prompts
from sapo_lite.errors import DataError, RenderError, RunFolderError
from tiny import make_task

TASK = make_task(12)
PROMPTS = ["Is it good ?", "happy or sad", TASK.instruction]
ROWS = [(example.input, example.answer) for example in TASK.train]
SUFFIX = "Say one word."

pytestmark = pytest.mark.slow


class CpuTrainer(SFTTrainer):  # type: ignore[misc, unused-ignore]
    """SFTTrainer with the loss of transformers: since 1.15, its own is a kernel for GPUs."""

    compute_loss = Trainer.compute_loss


def fresh() -> tuple[Any, Any]:
    folder = random_backbone()
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def config(out: Path, choice: PromptChoice, **more: Any) -> Any:
    settings = {"output_dir": str(out), "report_to": "none", "use_cpu": True, "disable_tqdm": True}
    settings |= {"per_device_train_batch_size": 4, "num_train_epochs": 1, "bf16": False, "logging_steps": 1}
    return SFTConfig(**(settings | choice.arguments | more))


def trainer(out: Path, choice: PromptChoice, model: Any, tokenizer: Any, **more: Any) -> Any:
    callbacks = [choice, *more.pop("callbacks", [])]
    return CpuTrainer(
        model,
        args=config(out, choice, **more),
        train_dataset=choice.dataset,
        processing_class=tokenizer,
        callbacks=callbacks,
    )


class Batches(TrainerCallback):
    """The text of the first training row in every step."""

    def __init__(self, choice: PromptChoice, tokenizer: Any) -> None:
        self.choice, self.tokenizer = choice, tokenizer
        self.texts: list[str] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.texts.append(self.tokenizer.decode(self.choice.dataset[0]["input_ids"]))


def test_the_choice_is_that_of_score_prompts_on_the_model_before_training(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    expected = score_prompts(model, tokenizer, ROWS, PROMPTS, suffix=SUFFIX)
    choice = PromptChoice(PROMPTS, ROWS, tokenizer, suffix=SUFFIX)
    assert choice.prompt == PROMPTS[0]
    seen = Batches(choice, tokenizer)
    trainer(tmp_path, choice, model, tokenizer, callbacks=[seen]).train()
    assert choice.board == expected
    assert choice.prompt == expected.best.prompt
    assert len(seen.texts) == 3
    assert all(choice.prompt in text for text in seen.texts)


def test_the_first_loss_of_the_training_is_the_loss_that_chose(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    choice = PromptChoice(PROMPTS, ROWS, tokenizer, suffix=SUFFIX)
    run = trainer(tmp_path, choice, model, tokenizer, per_device_train_batch_size=len(ROWS))
    run.train()
    assert run.state.log_history[0]["loss"] == pytest.approx(choice.board.best.loss, rel=1e-4)  # type: ignore[union-attr]


def test_a_second_training_chooses_again(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    choice = PromptChoice(PROMPTS, ROWS, tokenizer, suffix=SUFFIX)
    run = trainer(tmp_path, choice, model, tokenizer, learning_rate=1e-2)
    run.train()
    first = choice.board
    run.train()
    assert choice.board != first


def test_a_training_that_goes_on_keeps_its_prompt(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    choice = PromptChoice(PROMPTS, ROWS, tokenizer)
    trainer(tmp_path, choice, model, tokenizer, save_steps=1, max_steps=2).train()
    kept = next(tmp_path.glob("checkpoint-1/trainer_state.json"))
    state = json.loads(kept.read_text())
    other = next(prompt for prompt in PROMPTS if prompt != choice.prompt)
    state["stateful_callbacks"]["sapo_lite.PromptChoice"]["prompt"] = other
    kept.write_text(json.dumps(state))
    again = PromptChoice(PROMPTS, ROWS, tokenizer)
    run = trainer(tmp_path, again, *fresh(), save_steps=1, max_steps=2)
    run.train(resume_from_checkpoint=str(kept.parent))
    assert again.prompt == other
    assert again.board is None


def test_a_checkpoint_of_other_prompts_is_refused(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    choice = PromptChoice(PROMPTS[:1], ROWS, tokenizer)
    trainer(tmp_path, choice, model, tokenizer, save_steps=1, max_steps=2).train()
    other = PromptChoice(PROMPTS[1:], ROWS, tokenizer)
    run = trainer(tmp_path, other, *fresh(), max_steps=2)
    with pytest.raises(RunFolderError, match='trained on one of these prompts, found "Is it good'):
        run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))


@pytest.mark.parametrize("wrong", [{"remove_unused_columns": True}, {"dataset_kwargs": None}])
def test_a_config_without_its_arguments_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    model, tokenizer = fresh()
    choice = PromptChoice(PROMPTS, ROWS, tokenizer)
    with pytest.raises((DataError, ValueError), match=r"choice\.arguments|skip_prepare_dataset"):
        trainer(tmp_path, choice, model, tokenizer, **wrong)


def test_another_dataset_is_refused(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    choice = PromptChoice(PROMPTS, ROWS, tokenizer)
    own = Dataset.from_list([choice.dataset[n] for n in range(3)])
    run = CpuTrainer(
        model,
        args=config(tmp_path, choice),
        train_dataset=own,
        processing_class=tokenizer,
        callbacks=[choice],
    )
    with pytest.raises(DataError, match=r"expected train_dataset=choice\.dataset"):
        run.train()


def test_rows_longer_than_the_model_reads_are_refused_and_max_tokens_cuts_them(tmp_path: Path) -> None:
    model, tokenizer = fresh()
    model.config.max_position_embeddings = 60
    tokenizer.model_max_length = 10**30
    long = [("the film was a joy " * 20, "good"), *ROWS]
    choice = PromptChoice(PROMPTS, long, tokenizer)
    with pytest.raises(DataError, match="Give PromptChoice max_tokens=60"):
        trainer(tmp_path, choice, model, tokenizer).train()
    cut = PromptChoice(PROMPTS, long, tokenizer, max_tokens=60)
    with pytest.warns(UserWarning, match="inputs were cut at their end"):
        trainer(tmp_path, cut, model, tokenizer).train()
    assert max(len(row["input_ids"]) for row in cut.dataset) <= 60


def test_options_are_checked_as_those_of_score_prompts() -> None:
    _, tokenizer = fresh()
    with pytest.raises(DataError, match="a limit above 0; found en, 0"):
        PromptChoice(PROMPTS, ROWS, tokenizer, limit=0)


def test_a_tokenizer_without_chat_template_is_refused_at_once() -> None:
    _, tokenizer = fresh()
    tokenizer.chat_template = None
    with pytest.raises(RenderError, match="chat template"):
        PromptChoice(PROMPTS, ROWS, tokenizer)
