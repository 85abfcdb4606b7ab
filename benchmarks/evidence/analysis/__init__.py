"""From the raw results of a study to its numbers."""
