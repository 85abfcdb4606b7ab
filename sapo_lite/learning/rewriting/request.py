"""The request to the policy: give a row's answer in your own words. Its text is ours, not the paper's."""

from collections.abc import Sequence

from sapo_lite.evaluation.final_answers import Kind
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import user_turn
from sapo_lite.types import Task, TrainingRow

_REQUEST: dict[str, str] = {
    "en": """\
{prompt}

The right answer to the above is:
{answer}

Give this answer in your own words, as you would have answered yourself. {keep} Write the answer alone.""",
    "zh": """\
{prompt}

上面的正确答案是：
{answer}

请用你自己的话给出这个答案，就像你自己作答那样。{keep}除了答案，不要写任何别的内容。""",
}
_KEEP: dict[str, dict[Kind, str]] = {
    "en": {
        "label": "Keep the label exactly as it is, and name no other.",
        "short": "Keep the final answer exactly as it is; if there is more to say, end with "
        '"The answer is" and the final answer.',
        "free": "Keep everything that it says.",
    },
    "zh": {
        "label": "标签必须一字不差地保留，不要提到别的标签。",
        "short": "最终答案必须一字不差地保留；如果你写的不止最终答案，请以“答案是”加上最终答案结尾。",
        "free": "保留它所说的全部内容。",
    },
}


def rewrite_request(task: Task, row: TrainingRow, kind: Kind) -> str:
    """The user turn that shows prompt and answer and asks for a rewrite, in Chinese or English."""
    written = "zh" if task.language == "zh" else "en"
    # Braces in a row are safe: format does not interpret the values it inserts.
    return _REQUEST[written].format(
        prompt=user_turn(task, row.instruction, row.input),
        answer=row.answer,
        keep=_KEEP[written][kind],
    )


def encode_requests(
    backbone: Backbone, task: Task, rows: Sequence[TrainingRow], kind: Kind, *, shown: bool
) -> list[list[int]]:
    """Token ids of the request to the policy for each row.

    Without `shown`, and for a request longer than a prompt may be, it is the task's own prompt. A rewrite is
    then an answer of the model's own, which passes the gate if it is right.
    """
    plain = [backbone.chat.encode_prompts(task, row.instruction, [row.input])[0] for row in rows]
    if not shown:
        return plain
    asked = [backbone.chat.encode_turn(rewrite_request(task, row, kind)) for row in rows]
    fits = backbone.config.max_source_tokens
    return [ask if len(ask) <= fits else own for ask, own in zip(asked, plain, strict=True)]
