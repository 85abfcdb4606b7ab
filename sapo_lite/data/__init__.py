"""What is learned: suites, files of examples, tasks, languages, fingerprints."""
