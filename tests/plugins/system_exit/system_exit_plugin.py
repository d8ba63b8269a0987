"""Ends whatever imports it."""

import sys

sys.exit("no licence key found")
