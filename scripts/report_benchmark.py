"""How long the report takes on many run folders, and how much memory: folders are made by code, nothing is trained.

    python scripts/report_benchmark.py                       10,000 folders: one study of 1,000 rows and ten trials
    python scripts/report_benchmark.py --shape 1,6,1667      one study of six rows and 1,667 trials
    python scripts/report_benchmark.py --shape 10,100,10     ten studies; each costs some seconds for its pictures

Each folder holds the logits of 10,000 test images. A few hundred different ones are reused, since compressing 10,000
takes longer than what is measured; the report reads, unpacks and checks every one of them. Needs 2 GB of disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import fabricate  # noqa: E402

from hybridsep import records  # noqa: E402
from hybridsep.identity import identity  # noqa: E402


def fill(results: Path, studies: int, rows: int, trials: int, images: int, distinct: int) -> int:
    """Write `studies` x `rows` x `trials` run folders; those of one trial share at most `distinct` kinds of runs."""
    names = [*fabricate.FIGURE4, *(f"row{number:04d}" for number in range(rows))][:rows]
    models: dict[tuple[int, int], Path] = {}
    scratch = results / "scratch"
    for study in range(studies):
        for index, row in enumerate(names):
            for trial in range(trials):
                kind = (index % max(1, distinct // trials), trial)
                if kind not in models:
                    models[kind] = fabricate.run(
                        scratch,
                        "models",
                        f"kind{kind[0]}",
                        trial,
                        error=6 + 0.1 * kind[0],
                        images=images,
                        epochs=190,
                        index=kind[0],
                    )
                copy(models[kind], results, f"study{study:03d}", row, trial)
    return studies * rows * trials


def copy(source: Path, results: Path, study: str, row: str, trial: int) -> None:
    """Write the run of `source` as another row of another study, its record made to fit."""
    record = records.read(source)
    config = record["config"]
    config["model"] |= {"name": row, "title": row, "module": {"_target_": row}}
    config |= {"study": study, "row": row}
    record |= {"study": study, "row": row, "identity": identity(config, trial)}
    folder = records.run_folder(results, study, row, trial)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record, indent=2, sort_keys=True), encoding="utf-8")
    for name in ("history.csv", "predictions.npz"):
        (folder / name).hardlink_to(source / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1,1000,10", help="studies,rows,trials (default %(default)s)")
    parser.add_argument("--images", type=int, default=10_000, help="test images (default %(default)s)")
    parser.add_argument("--distinct", type=int, default=200, help="different predictions (default %(default)s)")
    parser.add_argument("overrides", nargs="*", help="given on to the report, for instance report.draw=false")
    given = parser.parse_args()
    studies, rows, trials = map(int, given.shape.split(","))
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        start = time.perf_counter()
        folders = fill(results, studies, rows, trials, given.images, given.distinct)
        print(f"{folders:,} run folders of {given.images:,} test images made in {time.perf_counter() - start:.0f} s")
        start = time.perf_counter()
        command = [sys.executable, "-m", "hybridsep.report", f"results={results}", *given.overrides]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{studies} x {rows} x {trials}: reported in {seconds:.0f} s"
        f" ({used.ru_utime + used.ru_stime:.0f} s of processor time), peak memory {used.ru_maxrss / 1024:.0f} MiB,"
        f" exit status {status}"
    )


if __name__ == "__main__":
    main()
