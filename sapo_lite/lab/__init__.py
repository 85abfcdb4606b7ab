"""The lab: a small generated world in which the whole method runs in a minute, offline.

The world, which needs nothing but Python:

    words, sentences   what there is to talk about
    grammar, frames    ways to ask: core phrases, wrappers, hints, and sentence frames to share
    heldout/           the tasks of continual learning; `world` draws them, `wordings` words them,
                       `build` writes them to data/lab/
    families/          what the backbones are pretrained on

The backbones, `lab` and `lab-llama`:

    mixture, curriculum      lessons, and which of them come when
    tokenizer, model, batch  what a model reads, and the model
    muon, pretrainer         how it learns
    pretrain                 the program; `accuracy` and `card` say what came of it
    transfer                 what a backbone learns under one wording, and what holds under another

docs/lab.md tells it in order, and shows how to add a task or a family.
"""
