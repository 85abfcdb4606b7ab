"""Prompts: candidate instructions, their losses, the choice among them, and schedules."""
