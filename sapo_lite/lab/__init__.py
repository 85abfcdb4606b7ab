"""The lab: a small generated world in which the whole method runs in a minute, offline.

    words, sentences   the world's vocabulary and sentences
    grammar            instructions: core phrases, wrappers, hints
    heldout/           the tasks of continual learning; `world` draws their examples, `wordings` their
                       instructions, `build` writes them to data/lab/
    source             these instructions as a source of paraphrases, `paraphrase.backend = "lab"`

It needs only Python. The program that trained its backbones is `pretraining/`, beside the package.
docs/lab.md explains it step by step, and shows how to add a task or a family.
"""
