"""TensorBoard's event file, written row by row.

TensorBoard's own writer hands its records to a thread: what a full disk does there is printed from
the thread and met by the run some rows later, if at all. A row every few steps needs no thread.
"""

import io
import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pocketface import atomic


class EventFile:
    """Scalars by name and step, in a new event file of the folder `run`.

    Args:
        run: the folder.
        purge_step: from this step on, TensorBoard forgets what older event files say.

    Raises:
        OSError: here and from `write`, if the disk takes no more; it names the file.
    """

    def __init__(self, run: Path, purge_step: int) -> None:
        stamp = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        taken = len(list(run.glob(f"events.out.tfevents.{stamp}.*")))
        self.path = run / f"events.out.tfevents.{stamp}.{taken}"
        # Without a buffer: what could not be written is not tried again when the file is closed.
        self._file = self.path.open("xb", buffering=0)
        try:
            self._add(Event(file_version="brain.Event:2", step=purge_step))
            self._add(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))
        except OSError:
            self.close()
            raise

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write one row."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Event(step=step, summary=Summary(value=scalars)))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        with atomic.named(self.path):
            atomic.write_all(self._file, record.getvalue())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
