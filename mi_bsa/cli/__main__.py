"""`python -m mi_bsa.cli`, as `accelerate launch` calls it."""

from mi_bsa.cli.command import main

if __name__ == "__main__":
    main()
