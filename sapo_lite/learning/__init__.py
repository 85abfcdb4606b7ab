"""How weights move: adapters, training rows, the trainer, rewriting of answers."""
