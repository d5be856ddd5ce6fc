"""The page that the demo opens with."""
