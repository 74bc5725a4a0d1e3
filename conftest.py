"""What tests and claims of this repository share."""

from hypothesis import settings

pytest_plugins = ["fixtures.models"]

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")
