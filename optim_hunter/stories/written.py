"""The former name of `stories/writable.py`."""

from optim_hunter.stories.writable import require_page, require_writable, unwritable

__all__ = ["require_page", "require_writable", "unwritable"]
