"""`python -m mi_bsa`: the command line."""

from mi_bsa.cli.command import main

if __name__ == "__main__":
    main()
