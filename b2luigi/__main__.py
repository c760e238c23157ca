"""`python -m b2luigi`: the command `b2luigi`, with the interpreter that it was started with."""

from b2luigi.cli.command.app import main

if __name__ == "__main__":
    main()
