"""How well it is answered: metrics, greedy answers, robustness, AP, BWT and FWT."""
