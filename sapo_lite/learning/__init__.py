"""Learning: adapter methods, training rows, the trainer, rewriting of answers."""
