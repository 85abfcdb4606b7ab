"""sapo-lite: prompt-aware continual fine-tuning on one GPU.

State-Adaptive Prompt Optimization (arXiv 2606.01967), not Soft Adaptive Policy Optimization.

    from sapo_lite import score_prompts

ranks prompts by their answer loss under any model in memory; everything else is for `sapo-lite run`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sapo_lite.leaderboard.api import score_prompts
    from sapo_lite.leaderboard.board import Leaderboard

__version__ = "0.1.0"
__all__ = ["Leaderboard", "__version__", "score_prompts"]


def __getattr__(name: str) -> Any:
    """The two names that bring torch and transformers, at their first use."""
    if name == "score_prompts":
        from sapo_lite.leaderboard.api import score_prompts

        return score_prompts
    if name == "Leaderboard":
        from sapo_lite.leaderboard.board import Leaderboard

        return Leaderboard
    raise AttributeError(f"module 'sapo_lite' has no attribute {name!r}")
