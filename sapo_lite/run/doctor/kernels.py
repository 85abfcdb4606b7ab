"""Check of the kernels that losses and answers depend on, with the embedded backbone."""

from sapo_lite.errors import SapoLiteError
from sapo_lite.run.doctor.check import Check, failed, ok

_ROWS = 12


def kernels() -> Check:
    """Packs and generation, compared with plain forward passes of single rows."""
    fix = "Install the tested versions (docs/install.md), and report this with `sapo-lite doctor --json`."
    try:
        from sapo_lite.data.tasks import load_sequence
        from sapo_lite.model.decoding import check_generation
        from sapo_lite.model.load import load_backbone
        from sapo_lite.model.selfcheck import check_packs
        from sapo_lite.recipe import load_recipe
        from sapo_lite.types import TrainingRow

        recipe = load_recipe("lab", ["model.loader=transformers", f"sequence.train_examples={_ROWS}"])
        task = load_sequence(recipe.sequence)[0]
        backbone = load_backbone(recipe.model)
        rows = [TrainingRow(task.instruction, example.input, example.answer) for example in task.train]
        encoded = backbone.chat.encode(task, rows)
        slower = check_packs(backbone, encoded, gradients=False)
        slower = slower or check_generation(backbone, [row.ids[: row.answer_start] for row in encoded])
    except SapoLiteError as error:
        return Check("kernels", "fail", str(error), fix)
    except Exception as error:  # of torch or transformers
        return failed("kernels", error, fix)
    if slower:
        return Check("kernels", "warn", slower, fix)
    return ok("kernels", f"packs and answers on {backbone.device.type} equal those of single rows")
