"""What a run will cost: memory, time, disk and tokens, before anything large is downloaded.

Memory follows from the model's configuration (sapo_lite.model.shape, sapo_lite.model.footprint) and the
lengths of the rows; time, from the counts of the one plan (sapo_lite.run.workplan) and the rates of a card or
of a probe. Begin with `costs_of` in sapo_lite.run.costs.predict.
"""
