"""The probe: one task learned with each of its candidates, every time from the same state."""
