"""`python -m hitchpost` is the program `hitchpost`."""

from hitchpost.cli.main import main

if __name__ == "__main__":
    main()
