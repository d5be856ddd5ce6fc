"""Make `mean_face.npy`, the average aligned face that `benchmarks.mean_face` compares with.

Run: pocketface data synth FOLDER --only train --people 250 --images-per-person 2 --seed 77
     python experiments/mean_face.py FOLDER/train src/pocketface/benchmarks/mean_face.npy
"""

import sys
from pathlib import Path

import numpy as np

from pocketface import atomic
from pocketface.benchmarks.mean_face import mean_face
from pocketface.data import decode_rgb, open_faces


def main() -> None:
    """Average the faces of the folder named first into the file named second."""
    faces = open_faces(Path(sys.argv[1]))
    mean = mean_face([decode_rgb(faces.encoded(i), faces.name(i)) for i in range(len(faces))])
    # Half of the light comes from either side: the average of endless people is symmetric.
    symmetric = ((mean + mean[:, ::-1]) / 2).astype(np.float16)
    with atomic.atomic_path(Path(sys.argv[2])) as temporary, temporary.open("wb") as handle:
        np.save(handle, symmetric, allow_pickle=False)


if __name__ == "__main__":
    main()
