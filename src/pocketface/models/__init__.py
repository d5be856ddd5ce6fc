"""Backbones and their registry."""
