"""Margin-softmax classifiers."""
