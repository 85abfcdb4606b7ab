"""The lab: a small generated world in which the whole method runs in a minute, offline.

    words, sentences   what there is to talk about
    grammar            ways to ask: core phrases, wrappers, hints
    heldout/           the tasks of continual learning; `world` draws their examples, `wordings` words
                       their instructions, `build` writes them to data/lab/
    source             the wordings as a source of paraphrases, `paraphrase.backend = "lab"`

It needs nothing but Python. The program that trained its backbones is `pretraining/`, beside the package.
docs/lab.md tells it in order, and shows how to add a task or a family.
"""
