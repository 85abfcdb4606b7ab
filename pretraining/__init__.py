"""The program that trained the lab's backbones, `lab` and `lab-llama`. It runs from a checkout:

    python -m pretraining --family qwen3    train a backbone (`pretrain`)
    python -m pretraining.transfer lab      measure transfer between instructions

The modules:

    families/, family, frames   small tasks of the lab's world, and their instructions
    mixture, curriculum         examples of the families, and their order
    tokenizer, model, twin      the vocabulary, the models, and a Llama made of a Qwen3
    batch, muon, pretrainer     a step of training
    accuracy, card              the trained backbone's accuracy, and its model card

The world itself (words, sentences, grammar, the tasks of continual learning) is `sapo_lite.lab`. It does
not import this package, and the wheel does not hold it. docs/lab.md explains how to add a family.
"""
