"""Started by every file in `bin/`: the first word is the command's name, the rest its arguments."""

import sys

from fakelsf.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
