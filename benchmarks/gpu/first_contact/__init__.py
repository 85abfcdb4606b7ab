"""A first contact with a GPU that is at hand for minutes: everything that is to be known, in one command.

`prepare` makes what a machine without network needs; `__main__` runs the plan there.
"""
