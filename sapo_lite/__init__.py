"""sapo-lite: prompt-aware continual fine-tuning on one GPU.

State-Adaptive Prompt Optimization (arXiv 2606.01967), not Soft Adaptive Policy Optimization.

    from sapo_lite import score_prompts

ranks prompts by their answer loss under any model in memory; `PromptChoice` does so when a training of TRL
begins, and trains on the best.

    from sapo_lite import load_recipe, run_recipe
    results = run_recipe(load_recipe("lab"), "runs/mine")

is `sapo-lite run lab --out runs/mine`; `read_results("runs/mine")` reads the results of a finished run, and
`read_frames` all of it as tables of pandas, and `write_report` writes its page; `compare_folders` compares
finished runs.
`load_sequence` reads the tasks of a recipe, `continual_metrics` gives AP, BWT and FWT of a score matrix.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sapo_lite.compare.comparison import Comparison, compare_folders
    from sapo_lite.data.tasks import load_sequence
    from sapo_lite.evaluation.continual import continual_metrics
    from sapo_lite.leaderboard.api import score_prompts
    from sapo_lite.leaderboard.board import Leaderboard
    from sapo_lite.leaderboard.prompt_choice import PromptChoice
    from sapo_lite.recipe import load_recipe
    from sapo_lite.report.write_report import write_report
    from sapo_lite.run.frames import Frames, read_frames
    from sapo_lite.run.results import Results, read_results
    from sapo_lite.run.start import run_recipe

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "Frames",
    "Leaderboard",
    "PromptChoice",
    "Results",
    "__version__",
    "compare_folders",
    "continual_metrics",
    "load_recipe",
    "load_sequence",
    "read_frames",
    "read_results",
    "run_recipe",
    "score_prompts",
    "write_report",
]

# Imported at their first use: some bring torch and transformers. `run` is a package, so not among them.
_HOMES = {
    "Comparison": "compare.comparison",
    "Frames": "run.frames",
    "Leaderboard": "leaderboard.board",
    "PromptChoice": "leaderboard.prompt_choice",
    "Results": "run.results",
    "compare_folders": "compare.comparison",
    "continual_metrics": "evaluation.continual",
    "load_recipe": "recipe",
    "load_sequence": "data.tasks",
    "read_frames": "run.frames",
    "read_results": "run.results",
    "run_recipe": "run.start",
    "score_prompts": "leaderboard.api",
    "write_report": "report.write_report",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sapo_lite.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'sapo_lite' has no attribute {name!r}")
