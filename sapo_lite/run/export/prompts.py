"""`prompts.json` of an export: how each task is asked, as texts to put before and after an input.

The texts are those that the model was trained on. A text of theirs is tokenised as it stands, without special
tokens of the tokenizer's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapo_lite import __version__
from sapo_lite.evaluation.own_metrics import shown_name
from sapo_lite.model.chat import ChatFormat, user_turn
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.files import write_json
from sapo_lite.types import Task

FILE = "prompts.json"
# Stands for the input while texts are rendered; no text holds it.
_INPUT = "\ue000input\ue001"
_LAYOUT = (
    "instruction, blank line, Text: (Chinese: 文本:), line end, input, blank line, suffix; "
    "without empty parts"
)


@dataclass(frozen=True)
class Around:
    """The texts before and after an input."""

    before: str
    after: str

    def put(self, text: str) -> str:
        return f"{self.before}{text}{self.after}"


def around_prompt(chat: ChatFormat, task: Task, instruction: str) -> Around:
    """What stands around an input in the whole text that the model reads."""
    before, _, after = chat.prompt(task, instruction, _INPUT).partition(_INPUT)
    return Around(before, after)


def around_turn(task: Task, instruction: str) -> Around:
    """What stands around an input in the user's message, without the chat template."""
    before, _, after = user_turn(task, instruction, _INPUT).partition(_INPUT)
    return Around(before, after)


def without_bos(tokenizer: Any, around: Around) -> Around:
    """The texts for programs that put the token of the beginning before all they read, as llama.cpp does."""
    bos, ids = tokenizer.bos_token, tokenizer("a").input_ids
    adds = bos is not None and ids[:1] == [tokenizer.bos_token_id]
    return Around(around.before.removeprefix(bos), around.after) if adds else around


def stop_texts(chat: ChatFormat) -> list[str]:
    """Texts of the tokens that end an answer."""
    return [str(chat.tokenizer.convert_ids_to_tokens(i)) for i in sorted(chat.stop_ids)]


def write_prompts(folder: Path, snapshot: Snapshot, chat: ChatFormat, base: str) -> None:
    """Write `prompts.json`. base: name or folder of the base model"""
    content = {
        "made_by": f"sapo-lite {__version__}",
        "stage": snapshot.label,
        "base_model": base,
        "layout": _LAYOUT,
        "stop": stop_texts(chat),
        "max_source_tokens": chat.max_source,
        "max_new_tokens": snapshot.max_new_tokens,
        "tasks": {key: _task(snapshot, chat, task) for key, task in snapshot.tasks.items()},
    }
    write_json(folder / FILE, content)


def _task(snapshot: Snapshot, chat: ChatFormat, task: Task) -> dict[str, Any]:
    instruction = snapshot.prompts[task.key]
    labels: Sequence[str] = task.labels
    return {
        "name": task.name,
        "learned": task.key in snapshot.learned,
        "instruction": instruction,
        "original_instruction": task.instruction,
        "suffix": task.suffix,
        "labels": list(labels),
        "language": task.language,
        "metric": shown_name(task.metric),
        "prompt": vars(around_prompt(chat, task, instruction)),
        "user_message": vars(around_turn(task, instruction)),
    }
