"""`pocketface evaluate`: measure a network on a benchmark, whichever protocol it follows."""

from pathlib import Path
from typing import Annotated

import typer

from pocketface.cli.foreign import (
    ArchitectureOption,
    MeanOption,
    OrderOption,
    SizeOption,
    StdOption,
    ThreadsOption,
)
from pocketface.cli.weights_file import WEIGHTS_FILE

_IJB = "IJB-B, IJB-C"
_MEGAFACE = "MegaFace"
_PEOPLE = "Your own people"


def evaluate(
    weights: Annotated[
        Path,
        typer.Argument(
            help=f"{WEIGHTS_FILE}; for MegaFace also a folder of features in the devkit's format."
        ),
    ],
    benchmark: Annotated[
        Path | None,
        typer.Argument(
            help="Pairs (a .bin, an LFW pairs.txt, or a JSON or TSV list), or the folder of "
            "IJB-B, IJB-C or MegaFace; or give --people.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images that the list names.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the report.", show_default="runs/WEIGHTS-on-BENCHMARK"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Sum the embeddings of image and mirror.")
    ] = True,
    replicates: Annotated[
        int, typer.Option("--replicates", min=0, help="Bootstrap replicates; 0 for no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the replicates.")] = 0,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="The report.json of another network on this set, to compare with."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check-preprocessing",
            help="First try the usual channel orders and scalings on a few hundred of the pairs.",
        ),
    ] = False,
    keep_norm: Annotated[
        bool | None,
        typer.Option(
            "--keep-norm/--no-keep-norm",
            help="Count the faces of a template with their embeddings' own lengths, or all alike.",
            show_default="with in 1:1, without in 1:N",
            rich_help_panel=_IJB,
        ),
    ] = None,
    detector_score: Annotated[
        bool | None,
        typer.Option(
            "--detector-score/--no-detector-score",
            help="Count the faces of a template times their detector score, or not.",
            show_default="with",
            rich_help_panel=_IJB,
        ),
    ] = None,
    distractor_set: Annotated[
        int,
        typer.Option(
            "--distractor-set",
            min=1,
            help="Which random set of distractor lists.",
            rich_help_panel=_MEGAFACE,
        ),
    ] = 1,
    missing_limit: Annotated[
        float,
        typer.Option(
            "--missing-limit",
            min=0,
            max=1,
            help="Share of the probes, and of the distractors, that may be missing.",
            rich_help_panel=_MEGAFACE,
        ),
    ] = 0.001,
    save_features: Annotated[
        Path | None,
        typer.Option(
            "--save-features",
            help="New folder for the features in the devkit's format.",
            rich_help_panel=_MEGAFACE,
        ),
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--algorithm",
            help="Whose features, where a folder holds several: IMAGE_ALGORITHM.bin.",
            rich_help_panel=_MEGAFACE,
        ),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            "--people",
            help="A folder for each person with aligned faces, or a .rec file: looked over first, "
            "then pairs and a search with strangers, and a recommended threshold.",
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(
            "--far",
            help="False accept rate of the recommended threshold.",
            show_default="1e-3",
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card/--no-card", help="Write the thresholds to the weights' card.")
    ] = True,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Begin a card for weights that have none.")
    ] = False,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Measure a network on a benchmark; write a report, and from pairs thresholds for `verify`."""
    from rich.console import Console

    from pocketface.benchmarks.pair_result import PairResult
    from pocketface.benchmarks.report import Measurement, check_folder, write_report
    from pocketface.benchmarks.rival import Rival
    from pocketface.cli import evaluate_ijb, evaluate_megaface, evaluate_pairs, evaluate_people
    from pocketface.cli.figures_table import print_comparison, print_result
    from pocketface.cli.find_protocol import find_protocol
    from pocketface.cli.foreign import load_weights
    from pocketface.errors import PocketFaceError, RecipeError

    console = Console(stderr=as_json)
    kind, benchmark = find_protocol(benchmark, images, people)
    if check and kind != "pairs":
        raise RecipeError("--check-preprocessing needs pairs: give a .bin or a list of pairs.")
    if kind != "ijb" and (keep_norm, detector_score) != (None, None):
        raise RecipeError(
            f"--keep-norm and --detector-score are for IJB-B and IJB-C; {benchmark} is not laid "
            "out as they are. Leave the options away."
        )
    if kind != "people" and far is not None:
        raise RecipeError(
            "--far is for --people: other sets have the false accept rates of theirs."
        )
    rival = None if against is None else Rival.load(against, replicates=replicates, seed=seed)
    if weights.is_dir() and kind != "megaface":
        raise RecipeError(
            f"{weights} is a folder: features can be measured on MegaFace only. "
            "Give the file of the weights."
        )
    embedder = None
    if not weights.is_dir():
        embedder = load_weights(
            weights,
            size=size,
            order=order,
            mean=mean,
            std=std,
            architecture=architecture,
            threads=threads,
        )
    folder = out or Path("runs") / f"{weights.stem}-on-{benchmark.resolve().stem}"
    check_folder(folder)
    name = weights.stem
    if embedder is None:
        measured = Measurement(
            *evaluate_megaface.evaluate_features(
                weights,
                benchmark,
                out=folder,
                replicates=replicates,
                seed=seed,
                model=name,
                algorithm=algorithm,
                distractor_set=distractor_set,
                missing_limit=missing_limit,
            )
        )
    else:
        match kind:
            case "pairs":
                measured = evaluate_pairs.evaluate(
                    embedder,
                    benchmark,
                    images,
                    flip=flip,
                    replicates=replicates,
                    seed=seed,
                    model=name,
                    check=check,
                )
            case "ijb":
                measured = evaluate_ijb.evaluate(
                    embedder,
                    benchmark,
                    out=folder,
                    flip=flip,
                    replicates=replicates,
                    seed=seed,
                    model=name,
                    keep_norm=keep_norm,
                    detector_score=detector_score,
                )
            case "megaface":
                measured = Measurement(
                    *evaluate_megaface.evaluate(
                        embedder,
                        benchmark,
                        out=folder,
                        flip=flip,
                        replicates=replicates,
                        seed=seed,
                        model=name,
                        distractor_set=distractor_set,
                        missing_limit=missing_limit,
                        save_features=save_features,
                    )
                )
            case "people":
                measured = evaluate_people.evaluate(
                    embedder,
                    benchmark,
                    out=folder,
                    flip=flip,
                    replicates=replicates,
                    seed=seed,
                    model=name,
                    far=evaluate_people.DEFAULT_FAR if far is None else far,
                )
    result = measured.result
    failure: PocketFaceError | None = None
    if rival is not None:
        try:
            measured = measured._replace(comparison=rival.compare(result, measured.replicates))
        except PocketFaceError as error:
            failure = error  # told at the end: the work that was done is kept first
    written = write_report(folder, measured)
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        print_result(console, result)
        if measured.comparison is not None:
            print_comparison(console, measured.comparison)
    console.print(f"Report: {written[-1]}", highlight=False, markup=False, soft_wrap=True)
    if isinstance(result, PairResult) and embedder is not None:
        text = evaluate_pairs.record_thresholds(
            weights, embedder, result, architecture, update=card, begin=write_card
        )
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if failure is not None:
        raise failure
