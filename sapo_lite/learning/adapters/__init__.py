"""The adapters: LoRA blocks and what methods add to them."""
