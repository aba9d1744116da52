"""Ctrl-C as a terminal leaves it.

A shell that runs the tests in the background has it ignored, and so would all that they start.
"""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
