"""`python3 -m lsyncd_lite`, and what the packages' command calls. Any Python can read it, and is told when it will not do."""

import sys

OLDEST = 3, 8


def run():
    """Run the program; end with its exit status."""
    if sys.version_info < OLDEST:
        refuse("lsyncd-lite needs Python %d.%d or newer, and %s is %d.%d" % (OLDEST + (sys.executable,) + sys.version_info[:2]))
    try:
        from lsyncd_lite.cli import main
    except ImportError as error:
        from lsyncd_lite.errors import lacking
        refuse(lacking(error))
    sys.exit(main())


def refuse(words):
    """Say why it cannot even begin; end."""
    sys.stderr.write(words + "\n")
    sys.exit(255)


if __name__ == "__main__":
    run()
