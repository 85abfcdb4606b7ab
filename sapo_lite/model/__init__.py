"""The model: the only room that runs forward passes and imports Unsloth."""
