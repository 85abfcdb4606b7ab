"""`python cli.py ...` from a clone is the installed command `sapo-lite ...`."""

from sapo_lite.cli import main

if __name__ == "__main__":
    main()
