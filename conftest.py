"""What tests and claims of this repository share."""

import signal

from hypothesis import settings

pytest_plugins = ["fixtures.models"]

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the commands that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
