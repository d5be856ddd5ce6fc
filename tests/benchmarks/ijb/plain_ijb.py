"""The protocols of IJB in plain loops, from files that only this module has read."""

import csv
from fractions import Fraction

import numpy as np

from pocketface.benchmarks.ijb import IjbBenchmark
from pocketface.data.alignment import align_face
from pocketface.data.jpeg import decode_rgb

GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}
FARS = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1")
FPIRS = ("0.1", "0.01", "0.001")


def lines(path):
    return [line.split() for line in path.read_text().splitlines()]


def table(path):
    with path.open() as handle:
        return {int(template): subject for template, subject in list(csv.reader(handle))[1:]}


class Plain:
    """The protocol in loops, from files that only this class has read."""

    def __init__(self, folder, name, embedder, flip=True):
        meta = folder / "meta"
        self.faces = lines(meta / f"{name}_face_tid_mid.txt")
        self.points = lines(meta / f"{name}_name_5pts_score.txt")
        self.pairs = [
            tuple(map(int, row)) for row in lines(meta / f"{name}_template_pair_label.txt")
        ]
        self.galleries = [table(meta / f"{name}_1N_gallery_{g}.csv") for g in GALLERIES[name]]
        self.probes = table(meta / f"{name}_1N_probe_mixed.csv")
        self.features = []
        for row in self.points:
            image = decode_rgb((folder / "loose_crop" / row[0]).read_bytes(), row[0])
            face = align_face(image, np.array(row[1:11], float).reshape(5, 2))[None]
            feature = embedder.embed(face)[0]
            if flip:
                feature = feature + embedder.embed(face[:, :, ::-1])[0]
            self.features.append(feature.astype(np.float64))

    def templates(self, keep_norm, detector_score):
        media = {}
        for (_, template, medium), point, feature in zip(
            self.faces, self.points, self.features, strict=True
        ):
            if not keep_norm:
                feature = feature / np.sqrt((feature**2).sum())
            if detector_score:
                feature = feature * float(point[11])
            media.setdefault(int(template), {}).setdefault(medium, []).append(feature)
        found = {}
        for template, groups in media.items():
            total = sum(sum(rows) / len(rows) for rows in groups.values())
            found[template] = total / np.sqrt((total**2).sum())
        return found

    def tars(self, units):
        scored = [(float(units[a] @ units[b]), same) for a, b, same in self.pairs]
        genuine = [score for score, same in scored if same]
        impostor = sorted((score for score, same in scored if not same), reverse=True)
        points = [(0, 0.0)]
        for threshold in sorted({score for score, _ in scored}, reverse=True):
            accepted = sum(score >= threshold for score in impostor)
            tar = sum(score >= threshold for score in genuine) / len(genuine)
            points.append((accepted, tar))
        nearest = [
            min(points, key=lambda p: (abs(Fraction(p[0], len(impostor)) - Fraction(far)), -p[1]))
            for far in FARS
        ]
        return [tar for _, tar in nearest]

    def searches(self, units):
        """Per gallery: mated probes as (mate, best of the others, rank), unmated best scores."""
        result = []
        for gallery in self.galleries:
            mated, unmated = [], []
            for probe, person in self.probes.items():
                scores = {t: float(units[probe] @ units[t]) for t in gallery}
                own = [scores[t] for t, subject in gallery.items() if subject == person]
                others = [scores[t] for t, subject in gallery.items() if subject != person]
                if own:
                    mated.append((own[0], max(others), 1 + sum(s >= own[0] for s in others)))
                else:
                    unmated.append(max(others))
            result.append((mated, sorted(unmated, reverse=True)))
        return result

    def tpirs(self, units):
        result = []
        for fpir in FPIRS:
            shares = []
            for mated, unmated in self.searches(units):
                threshold = unmated[max(int(len(unmated) * float(fpir)) - 1, 0)]
                found = sum(mate > other and mate > threshold for mate, other, _ in mated)
                shares.append(found / len(mated))
            result.append([float(np.mean(shares)), *shares])
        return result

    def ranks(self, units, which=(1, 5, 10)):
        result = []
        for k in which:
            hits = [[rank <= k for *_, rank in mated] for mated, _ in self.searches(units)]
            result.append([np.mean(np.concatenate(hits)), *map(np.mean, hits)])
        return result


def run(folder, embedder, work, **options):
    """The benchmark itself, without intervals unless they are asked for."""
    return IjbBenchmark.load(folder).run(embedder, work=work, **{"replicates": 0} | options)
