"""Adapters: LoRA blocks and the additions of each method."""
