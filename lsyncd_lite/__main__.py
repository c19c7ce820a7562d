"""`python3 -m lsyncd_lite`, and what the packages' command calls."""

import sys

from lsyncd_lite.cli import main


def run():
    """Run the program; end with its exit status."""
    sys.exit(main())


if __name__ == "__main__":
    run()
