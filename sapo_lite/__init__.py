"""sapo-lite: prompt-aware continual fine-tuning on one GPU.

State-Adaptive Prompt Optimization (arXiv 2606.01967), not Soft Adaptive Policy Optimization.
"""

__version__ = "0.1.0"
