"""One run: from a recipe to its results."""
