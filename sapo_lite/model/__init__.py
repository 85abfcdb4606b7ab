"""What computes: the only room that runs forward passes and imports Unsloth."""
