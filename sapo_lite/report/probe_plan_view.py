"""The plan of probes, as a table. It starts without the statistics of their results."""

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.probe.plan import ProbePlan
from sapo_lite.report.number_table import NumberTable
from sapo_lite.run.workplan import Work
from sapo_lite.support.messages import many


def probe_plan(plan: ProbePlan) -> RenderableType:
    """A row for each probe, and the work of the runs up to the states that are probed."""
    rows, total = [], Work()
    for seed in plan.recipes:
        left = [after for after in plan.after if not plan.finished(seed, after)]
        run = plan.run_work(seed) if left else Work()
        total += run
        rows.append([f"run of seed {seed}", "", "", *_amounts(run)])
        for after in plan.after:
            trainings = plan.candidates(seed, after) * plan.measure.orders
            work = sum([plan.training_work(seed, after)] * trainings, plan.scoring_work(seed, after))
            work = work if after in left else Work()
            total += work
            named = [f"  after {many(after, 'task')}", plan.task(seed, after).name]
            rows.append([*named, str(trainings) if after in left else "finished", *_amounts(work)])
    rows.append(["in all", "", "", *_amounts(total)])
    headings = ["probe", "task", "trainings", "forwards", "steps", "answers"]
    recipe = plan.recipe
    title = f"{recipe.name}: {recipe.prompt.strategy} before, {recipe.adapter.method}, in {plan.out}"
    note = (
        "at most: what is there already is not done again, and kinds of prompt that come to the same wording "
        "are tested once"
    )
    notes = [*plan.notes, note]
    return Group(NumberTable(title, headings, rows, texts=2), Text(), *map(Text, notes))


def _amounts(work: Work) -> list[str]:
    return [f"{count:,}" for count in (work.forwards.most, work.steps, work.answers.most)]
