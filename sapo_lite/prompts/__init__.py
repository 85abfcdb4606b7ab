"""How it is asked: candidate instructions, their losses, the choice among them, schedules."""
