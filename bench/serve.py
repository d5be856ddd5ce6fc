"""Requests a second of `pocketface serve`, and its memory: `python bench/serve.py --weights W`.

The command is started as a person starts it, on loopback, with a gallery of a few people, and asked
by some clients at once, each of which sends its next request when it has the last one's answer:
`/identify` with one photograph, or `/verify` with two. Told are requests a second, the time of an
answer (median and 99th percentile, seen by the client), the processor's time that the service takes
for one, which other work on the machine changes little, and the memory of its process as `/metrics`
tells it, after a warm-up and as the requests go on. Flat means that the last tenth is at most 5 %
and 10 MB above the first.

Clients and service share the machine's processors. The photographs are $POCKETFACE_DATA/photos, or
../shared/data/photos, JPEGs of about 500 x 700 pixels, or shrunk to --side.
"""

import argparse
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

WARM_UP = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="With a card beside it.")
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--path", choices=("identify", "verify", "health"), default="identify")
    parser.add_argument("--side", type=int, help="Shrink photographs to this longer side first.")
    options = parser.parse_args()
    data = Path(os.environ.get("POCKETFACE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    detector = options.detector or data / "weights" / "yunet_n_dynamic.onnx"
    photos = [shrunk(path, options.side) for path in sorted((data / "photos").glob("*/*.jpg"))]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "pocketface", "serve", "--port", "0"),
            *("--model", str(options.weights.resolve()), "--detector", str(detector.resolve())),
            *("--gallery", "people.gallery", "--threads", str(options.threads)),
        ]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().rsplit(" at ", 1)[-1].strip()
            run(address, options, photos, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def shrunk(path: Path, side: int | None) -> bytes:
    if side is None:
        return path.read_bytes()
    with Image.open(path) as image:
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def run(address: str, options: argparse.Namespace, photos: list[bytes], process: int) -> None:
    with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
        for place, photo in enumerate(photos[::3][:10]):
            form = {"name": f"Person {place}", "largest": "true"}
            client.post("/enroll", data=form, files={"photos": photo}).raise_for_status()
        ask(address, options.path, photos, WARM_UP, options.clients)
        memory = [resident(client)]
        done = threading.Event()

        def watch() -> None:
            with httpx.Client(base_url=address, timeout=120, trust_env=False) as own:
                while not done.wait(1.0):
                    memory.append(resident(own))

        watcher = threading.Thread(target=watch)
        watcher.start()
        began, worked = time.perf_counter(), processor_seconds(process)
        seconds = ask(address, options.path, photos, options.requests, options.clients)
        wall = time.perf_counter() - began
        worked = processor_seconds(process) - worked
        done.set()
        watcher.join()
        figures = client.get("/metrics").text
    tenth = max(len(memory) // 10, 1)
    first, last = (statistics.median(part) / 1e6 for part in (memory[:tenth], memory[-tenth:]))
    flat = "flat" if last <= 1.05 * first and last - first <= 10 else "NOT flat"
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    print(
        f"/{options.path}, {options.requests:,} requests by {options.clients} clients, "
        f"{options.threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"  {options.requests / wall:7.1f} requests/s; p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"  {1e3 * worked / options.requests:.1f} ms of the processor for one")
    print(
        f"  memory {first:.1f} MB in the first tenth, {last:.1f} MB in the last, at most "
        f"{max(memory) / 1e6:.1f} MB: {flat}"
    )
    wrong = re.findall(r'path="/(?:identify|verify)",status="([45]\d\d)"} (\d+)', figures)
    print(f"  answers that were no success: {wrong or 'none'}")


def ask(address: str, path: str, photos: list[bytes], count: int, clients: int) -> list[float]:
    """Send `count` requests from `clients` threads; gives the seconds of each."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def client_of(_: int) -> list[float]:
        seconds = []
        with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return seconds
                began = time.perf_counter()
                first, second = photos[number % len(photos)], photos[(7 * number) % len(photos)]
                if path == "health":
                    answer = client.get("/health")
                elif path == "identify":
                    answer = client.post("/identify", files={"photo": first})
                else:
                    answer = client.post("/verify", files={"first": first, "second": second})
                answer.raise_for_status()
                seconds.append(time.perf_counter() - began)

    with ThreadPoolExecutor(clients) as pool:
        return [each for part in pool.map(client_of, range(clients)) for each in part]


def processor_seconds(process: int) -> float:
    """Seconds that a process has computed, in itself and in the kernel (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(client: httpx.Client) -> float:
    """Bytes that the service's process holds."""
    found = re.search(r"^process_resident_memory_bytes (\S+)$", client.get("/metrics").text, re.M)
    assert found is not None
    return float(found[1])


if __name__ == "__main__":
    main()
