"""The leaderboard on its own: candidate prompts scored under any model, for whoever trains it elsewhere.

    board.py     the result: ranks, losses, what the lead is worth
    in_memory.py `score_prompts`, from a model in memory to a board
    borrowed.py  the model as a backbone, given back as it was found
    rows.py      examples from pairs and mappings
    files.py     examples and prompts from files
    from_disk.py a model and its adapter, as a command line names them
    command.py   the steps of `sapo-lite score`

Nothing is imported here: faults in files are told before torch is loaded.
"""
