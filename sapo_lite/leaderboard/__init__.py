"""The leaderboard on its own: candidate prompts scored under any model, for whoever trains it elsewhere.

    board.py            the result: ranks, losses, margin; layout.py: its lines of text
    api.py              `score_prompts`, from a model in memory to a board
    external_model.py   the model as a backbone, left in the state in which it was found
    score_files.py      what `sapo-lite score` does; from_disk.py: the model and the adapter that it names

Nothing is imported here: faults in files are reported before torch is loaded.
"""
