"""Claims over a list of models, as one table (docs/generality.md)."""
