"""The model of a run as it was after a stage, ready to answer; several stages of one run at a time."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.chat_frame import PROBES, ChatFrame
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.generation import generate
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.selfcheck import check_batches, check_packs, read_rows_alone
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.progress import Progress
from sapo_lite.types import Example, Task, TrainingRow


@dataclass(frozen=True)
class Answers:
    """The backbone of a run with the adapters of one stage or several.

    snapshot: the stage that answers unless another is named; its wordings are used for all
    """

    snapshot: Snapshot
    backbone: Backbone

    def fitted(self, task: Task, texts: Sequence[str]) -> list[str]:
        """The inputs, cut at their end as the run cuts those of its test rows."""
        rows = tuple(Example(text, "") for text in texts)
        whole = replace(task, train=(), test=rows)
        cut = self.backbone.chat.fit(whole, self.snapshot.candidates(task))
        return [example.input for example in cut.test]

    def answer(
        self,
        task: Task,
        texts: Sequence[str],
        stage: int | None = None,
        on_done: Callable[[int], None] = lambda _: None,
    ) -> list[str]:
        """Greedy answers to inputs, which are cut if they are too long.

        stage: number of a loaded stage, or 0 for the model alone; by default that of the snapshot
        """
        texts, snapshot = self.fitted(task, texts), self.snapshot
        prompts = self.backbone.chat.encode_prompts(task, snapshot.prompts[task.key], texts)
        with self._at(snapshot.number if stage is None else stage):
            return generate(
                self.backbone,
                prompts,
                max_new_tokens=snapshot.max_new_tokens,
                batch_size=snapshot.batch_size,
                on_done=on_done,
            )

    def losses(self, task: Task, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Negative log-likelihood in nats of each answer to its input, its end of turn included."""
        with self._at(self.snapshot.number):
            return list(answer_nll(self.backbone, self._encoded(task, pairs))[0])

    def check_losses(self, task: Task, pairs: Sequence[tuple[str, str]], progress: Progress) -> None:
        """Check that rows have the losses in packs and batches that they have alone; else read them alone."""
        with self._at(self.snapshot.number):
            rows = self._encoded(task, pairs)
            if difference := check_batches(self.backbone, rows):
                read_rows_alone(self.backbone)
                progress.notice(f"rows are read one by one: their losses change beside others ({difference})")
            elif unpacked := check_packs(self.backbone, rows, gradients=False):
                progress.notice(unpacked)

    def _encoded(self, task: Task, pairs: Sequence[tuple[str, str]]) -> list[EncodedRow]:
        texts, instruction = self.fitted(task, [text for text, _ in pairs]), self.snapshot.prompts[task.key]
        answers = [answer for _, answer in pairs]
        return self.backbone.chat.encode(
            task, [TrainingRow(instruction, text, own) for text, own in zip(texts, answers, strict=True)]
        )

    @contextlib.contextmanager
    def _at(self, stage: int) -> Iterator[None]:
        """Context in which the adapter of a loaded stage acts; at stage 0, none does."""
        model = self.backbone.model
        if not hasattr(model, "peft_config"):
            yield
        elif stage == 0:
            with model.disable_adapter():
                yield
        else:
            model.set_adapter(str(stage))
            yield


def load_answers(snapshot: Snapshot, progress: Progress, others: Sequence[Snapshot] = ()) -> Answers:
    """Load the backbone as the run did, with the adapters of a stage and of other stages of the same run.

    Raises:
        RunFolderError: another model is on the disk than the run's.
        BackboneError: the model cannot be loaded.
    """
    snapshot.require_same_model()
    locate_model(snapshot.model.name, progress.notice)
    progress.stage("loading the model")
    backbone = load_backbone(snapshot.model)
    for number, folder in {one.number: one.adapter for one in (snapshot, *others)}.items():
        if folder is not None:
            put_adapter(backbone, folder, str(number))
    prepare_answers(backbone, snapshot, progress)
    return Answers(snapshot, backbone)


def prepare_answers(backbone: Backbone, snapshot: Snapshot, progress: Progress) -> None:
    """Let a loaded model answer as in the run: in the run's chat frame, by the fastest exact way."""
    backbone.chat = backbone.chat.with_frame(ChatFrame(**snapshot.frame))
    if slower := check_generation(backbone, [backbone.chat.encode_turn(turn) for turn, _ in PROBES]):
        progress.notice(slower)


def put_adapter(backbone: Backbone, folder: Path, name: str) -> None:
    """Put the adapter of a folder on the backbone, beside those that it has. All weights stay frozen."""
    from peft import PeftModel

    if hasattr(backbone.model, "peft_config"):
        backbone.model.load_adapter(str(folder), adapter_name=name)
    else:
        backbone.model = PeftModel.from_pretrained(backbone.model, str(folder), adapter_name=name)
    backbone.model.eval()
