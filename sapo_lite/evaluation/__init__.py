"""Evaluation: metrics, greedy answers, robustness, AP, BWT and FWT."""
