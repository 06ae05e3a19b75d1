"""`python -m hybridsep` is `python -m hybridsep.run`."""

from hybridsep.run import main

if __name__ == "__main__":
    main()
