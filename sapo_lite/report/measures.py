"""Metrics as they are shown: their names, and the headings of tasks that have different ones."""

from collections.abc import Collection, Mapping

_SHOWN = {
    "rougeL": "ROUGE-L",
    "rouge1": "ROUGE-1",
    "exact_match": "exact match",
    "token_f1": "token F1",
    "chrf": "chrF",
}
MIXED = "each task's own metric"


def shown(metric: str) -> str:
    """The name of one metric; those of users and of newer entries are shown as they are."""
    return _SHOWN.get(metric, metric)


def measure(metrics: Collection[str]) -> str:
    """What scores of tasks with these metrics are: the metric, or each task's own one."""
    return shown(next(iter(metrics))) if len(set(metrics)) == 1 else MIXED


def headings(metrics: Mapping[str, str]) -> list[str]:
    """Tasks as headings of columns; each with its metric if these differ. `metrics` is by task."""
    if len(set(metrics.values())) == 1:
        return list(metrics)
    return [f"{task} ({shown(metric)})" for task, metric in metrics.items()]
