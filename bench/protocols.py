"""Speed and memory of all protocols at their true size, in one command.

Run: python bench/protocols.py
IJB-C 1:1 against the usual plain script, MegaFace against the bare matrix product, and the figures
of 6,000 pairs; random features. Each part is a bench of its own, `protocols_ijb.py`,
`protocols_megaface.py` and `metrics.py`, and says there what is counted and how. `--scale` shrinks
the first two, to try them; what must hold, must hold at 1.
"""

import argparse
import time

import metrics
import protocols_ijb
import protocols_megaface

PARTS = ("ijb", "megaface", "pairs")


def main(scale: float, threads: int | None, only: list[str]) -> None:
    began = time.perf_counter()
    if "pairs" in only:  # first: it lasts a second
        metrics.main()
        print("(must: under 50 ms)\n", flush=True)
    if "ijb" in only:
        protocols_ijb.main(scale, threads=threads)
        print()
    if "megaface" in only:
        if threads is None:
            protocols_megaface.main(scale)
        else:
            protocols_megaface.main(scale, threads)
    print(f"\nwhole bench: {(time.perf_counter() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, help="of matrix products; else each bench's own way")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    main(options.scale, options.threads, options.only)
