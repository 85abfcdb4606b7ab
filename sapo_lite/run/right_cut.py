"""Rows that are cut on the right (`model.cut = "right"`): what their answers lose is said at the start."""

from sapo_lite.errors import RenderError
from sapo_lite.model.chat import ChatFormat
from sapo_lite.prompts.pool import Pool
from sapo_lite.types import Task, TrainingRow


def notice_of_lost_answers(chat: ChatFormat, task: Task, pool: Pool) -> str | None:
    """A sentence on training rows that lose answer tokens under the task's longest candidate, or None.

    Raises:
        RenderError: every row loses its whole answer.
    """
    if chat.cut == "input" or not task.train:
        return None
    instruction = max((candidate.text for candidate in pool.candidates), key=len)
    rows = chat.encode(task, [TrainingRow(instruction, e.input, e.answer) for e in task.train])
    answers = chat.encode_answers([e.answer for e in task.train])
    shorter = sum(len(row.answer_ids) < len(a) for row, a in zip(rows, answers, strict=True))
    without = sum(not row.answer_ids for row in rows)
    if without == len(rows):
        raise RenderError(
            f"{task.id}: expected room for answers behind the prompts, found none: all {without} training "
            f"rows lose their whole answer. Raise model.max_source_tokens (now {chat.max_source}), or set "
            'model.cut = "input".'
        )
    if not shorter:
        return None
    return (
        f"{task.name}: {shorter} of {len(rows)} training rows lose tokens of their answer under the longest "
        f'candidate, {without} of them all (model.cut is "right")'
    )
