"""`python3 -m lsyncd_lite`."""

import sys

from lsyncd_lite.cli import main

sys.exit(main())
