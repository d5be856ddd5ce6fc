"""MegaFace and refined MegaFace."""
