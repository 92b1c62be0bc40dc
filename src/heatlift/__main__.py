"""``python -m heatlift``: the command where it is not on the path."""

from heatlift.cli import main

if __name__ == "__main__":
    main()
