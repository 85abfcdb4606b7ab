"""Data: suites, files of examples, tasks, languages, fingerprints."""
