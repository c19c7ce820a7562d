"""Every test finds the package of this checkout, installed or not."""

import os
import sys
from pathlib import Path

os.umask(0o022)  # root's daemon takes no configuration that others can write to
sys.path[:0] = map(str, Path(__file__).resolve().parents[:2])
