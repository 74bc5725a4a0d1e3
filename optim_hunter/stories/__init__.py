"""The stories laboratory: linear models of a corpus that one can fit, keep, read and play with."""
