"""From the settings of a search to its outcome, in this process."""

from pathlib import Path

import torch
from lightning_fabric import Fabric

from pocketface import atomic
from pocketface.errors import RecipeError
from pocketface.search import run_folder
from pocketface.search.config import SearchConfig
from pocketface.search.loop import Searcher
from pocketface.search.outcome import Summary, write_outcome
from pocketface.train import run as runs
from pocketface.train.disk import full_disk_told


def carry_out(
    config: SearchConfig,
    run: Path,
    *,
    resume: bool = False,
    checkpoint: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    quiet: bool = False,
) -> Summary:
    """Search as `config` says, in the folder `run`, and write what was found there.

    A search that was finished before is not made again; its outcome is written anew.

    Args:
        config: the whole search.
        run: its folder; it must not hold a run unless `resume` is set.
        resume: go on from `checkpoint`, or the search's newest.
        checkpoint: see `resume`.
        device: an accelerator's name as Lightning Fabric knows it, or "auto".
        threads: CPU threads of torch; none leaves torch's own choice.
        quiet: print nothing.

    Raises:
        PocketFaceError: a subclass that says what is wrong; nothing is lost.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        fabric = Fabric(accelerator=device, devices=1)
    except (ValueError, RuntimeError, ImportError) as error:
        raise RecipeError(f"device '{device}' cannot be used: {error}") from error
    if resume:
        found = run_folder.resume(run, config, checkpoint)
    else:
        found = None
        # Asked before the data are read.
        runs.refuse_existing(run)
    with full_disk_told(run):
        atomic.remove_abandoned(run)
        searcher = Searcher(config, run, fabric, quiet)
        if found is not None:
            searcher.restore(found)
        else:
            run_folder.begin(run, config)
            # So that a search that is killed before its first step can be resumed too.
            searcher.save()
        searched = searcher.search()
        return write_outcome(searched, config, searcher.target, searcher.faces)
