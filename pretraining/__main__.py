"""`python -m pretraining`: pretrain a backbone of the lab."""

from pretraining.pretrain import main

if __name__ == "__main__":
    main()
