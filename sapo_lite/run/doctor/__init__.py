"""Checks of an installation and its machine: each says what it found, and how to mend what is wrong.

Begin with `diagnose` in sapo_lite.run.doctor.diagnosis.
"""
