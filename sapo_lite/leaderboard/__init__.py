"""Leaderboards without a run: candidate prompts ranked by their loss under any model, for any trainer.

    board.py            the result: ranks, losses, margin; layout.py: its lines of text
    api.py              `score_prompts`, from a model in memory to a board
    prompt_rows.py      examples under several prompts, cut alike and rendered
    prompt_choice.py    `PromptChoice`, which ranks as a training of TRL begins
    external_model.py   the model as a backbone, and its state restored afterwards
    score_files.py      the work of `sapo-lite score`; from_disk.py: loads its model and adapter

Nothing is imported here: faults in files are reported before torch is loaded.
"""
