"""Searching PocketNet's cells on faces: the searched network, its gradients, the run."""

from importlib.util import find_spec

from pocketface.errors import MissingExtraError

if find_spec("torch") is None or find_spec("lightning_fabric") is None:
    raise MissingExtraError("Searching cells (pocketface.search)", "train")
