"""Every test finds the package of this checkout, installed or not."""

import os
import sys
from pathlib import Path

os.umask(0o022)  # root's daemon takes no configuration that others can write to
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
