"""Searching PocketNet's cells on faces: the searched network, its gradients, the run."""
