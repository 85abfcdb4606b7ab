"""`python -m sapo_lite`."""

from sapo_lite.cli import main

if __name__ == "__main__":
    main()
