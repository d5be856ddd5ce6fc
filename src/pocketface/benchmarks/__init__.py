"""The protocols, their metrics and reports."""
