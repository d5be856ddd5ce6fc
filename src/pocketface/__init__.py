"""PocketFace: face-recognition networks of about one million parameters."""

__version__ = "0.1.0"
