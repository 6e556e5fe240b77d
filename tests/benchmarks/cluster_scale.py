"""How the cost of clustering grows with the number of rows: 10^3 to 10^6, of 384 float32 columns; 20 clusters, one start.

    python tests/benchmarks/cluster_scale.py            all rows missing from the table
    PYTHONPATH=FOLDER python tests/benchmarks/cluster_scale.py     with faiss installed in FOLDER

Each measurement has its own process: its CPU seconds and wall seconds (the least of several), its peak memory including
the data (1.5 GB at a million rows) and all imports, and the final inertia. Ours and scikit-learn's own call also do the same
work in turn, in one process, so that a busy machine affects both: `overhead` is the ratio of their least CPU seconds less 1.
The mixture has full covariances, on 50 columns of a PCA (timed with it), and is fitted on 100,000 rows if there are more.
faiss trains on 256 points per centroid unless told otherwise: both are measured, 25 steps each (its default), one start.
"""

import datetime
import importlib.util
import json
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

WIDTH, K, COLUMNS = 384, 20, 50
ROWS = (1_000, 10_000, 100_000, 1_000_000)
REPEATS = {1_000: 15, 10_000: 7, 100_000: 8, 1_000_000: 2}
METHODS = ("kmeans", "minibatch", "gmm")


def data(n: int) -> np.ndarray:
    """Rows around 20 centres that overlap a little, written in pieces so that there is never a second copy in memory."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(K, WIDTH)).astype(np.float32)
    rows = np.empty((n, WIDTH), np.float32)
    for i in range(0, n, 50_000):
        part = rows[i : i + 50_000]
        draw.standard_normal(out=part, dtype=np.float32)
        part *= 2.5
        part += centres[draw.integers(0, K, len(part))]
    return rows


def ours(rows: np.ndarray, method: str) -> tuple:
    from tl_helpers.recipes.clustering import fit, prepare

    if method == "gmm":
        rows = prepare(rows, unit=False, components=COLUMNS)
    found = fit(rows, K, method, seed=0, restarts=1)
    return found.labels, found.model.inertia_ if method != "gmm" else None


def direct(rows: np.ndarray, method: str, sample: int = 100_000) -> tuple:
    """The same by scikit-learn's own calls, as written by someone who knows what ours does."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    if method != "gmm":
        kinds = {"kmeans": KMeans(K, n_init=1, random_state=0)}
        kinds["minibatch"] = MiniBatchKMeans(K, n_init=1, batch_size=4096, random_state=0)
        model = kinds[method].fit(rows)
        return model.labels_, float(model.inertia_)
    learnt = np.sort(np.random.default_rng(0).choice(len(rows), sample, replace=False)) if len(rows) > sample else None
    pca = PCA(COLUMNS, random_state=0).fit(rows if learnt is None else rows[learnt])
    rows = pca.transform(rows)
    floor = 1e-3 * float(rows[:100_000].var(0).mean())
    model = GaussianMixture(K, reg_covar=floor, random_state=0).fit(rows if learnt is None else rows[learnt])
    return model.predict(rows), None


def faiss_run(rows: np.ndarray, every: bool) -> tuple:
    import faiss

    points = {"max_points_per_centroid": len(rows)} if every else {}
    model = faiss.Kmeans(WIDTH, K, niter=25, seed=1, **points)
    model.train(rows)
    distances, labels = model.index.search(rows, 1)
    return labels[:, 0], float(distances.sum())


RUNS = {
    "ours": ours,
    "scikit-learn": direct,
    "faiss": lambda rows, method: faiss_run(rows, False),
    "faiss, all rows": lambda rows, method: faiss_run(rows, True),
}


def peak_mb() -> int:
    """This process's peak memory, in MB. Linux's own count: getrusage would start from what the parent process used."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def child(names: list[str], method: str, n: int) -> None:
    """Time the runs of `names` in turn and print one line of JSON."""
    best, last = {}, {}
    RUNS[names[0]](data(800), method)  # imports and thread pools should not be timed
    imports = peak_mb()
    rows = data(n)
    for _ in range(REPEATS[n] if len(names) > 1 else max(1, REPEATS[n] // 2)):
        for name in names:
            wall, cpu = time.perf_counter(), time.process_time()
            last[name] = RUNS[name](rows, method)
            spent = time.process_time() - cpu, time.perf_counter() - wall
            best[name] = tuple(map(min, spent, best.get(name, spent)))
    if len(names) > 1:
        from sklearn.metrics import adjusted_rand_score

        alike = adjusted_rand_score(last[names[0]][0], last[names[1]][0])
        print(json.dumps({"cpu": {name: round(best[name][0], 4) for name in names}, "same_clusters": round(alike, 6)}))
        return
    peak = peak_mb()
    cpu, wall = best[names[0]]
    row = {"cpu_seconds": round(cpu, 4), "wall_seconds": round(wall, 4), "peak_memory_mb": peak, "imports_mb": imports}
    print(json.dumps(row | {"inertia_a_row": last[names[0]][1] and round(float(last[names[0]][1]) / n, 3)}))


def plan() -> list[tuple[str, str, int]]:
    """(who, method, rows) for the whole table, the cheap ones first."""
    with_faiss = ["faiss", "faiss, all rows"] if importlib.util.find_spec("faiss") else []
    found = []
    for n in ROWS:
        found += [(who, method, n) for method in METHODS for who in ("ours", "scikit-learn", "both")]
        found += [(who, "kmeans", n) for who in with_faiss]
    return found


def exponents(rows: list[dict]) -> dict[str, float]:
    """The slope of log CPU seconds over log rows, from 10^4 rows on, where fixed costs no longer matter."""
    found = {}
    for who, method in dict.fromkeys((row["who"], row["method"]) for row in rows if row["who"] != "both"):
        line = [row for row in rows if (row["who"], row["method"]) == (who, method) and row["rows"] >= 10_000]
        if len(line) > 2:
            x, y = np.log([row["rows"] for row in line]), np.log([row["cpu_seconds"] for row in line])
            found[f"{who}: {method}"] = round(float(np.polyfit(x, y, 1)[0]), 2)
    return found


def main() -> None:
    """Run whatever is missing; the file is written after every run."""
    from tl_helpers.device import pick_device
    from tl_helpers.sources import root, write_atomically

    path = root() / "data" / "results" / "cluster_scale.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    for who, method, n in plan():
        if any((row["who"], row["method"], row["rows"]) == (who, method, n) for row in rows):
            continue
        command = [sys.executable, __file__, "child", who, method, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(who, method, n, done.stderr[-500:], flush=True)
            continue
        row = {"who": who, "method": method, "rows": n} | json.loads(done.stdout.splitlines()[-1])
        if who == "both":
            row["overhead"] = round(row["cpu"]["ours"] / row["cpu"]["scikit-learn"] - 1, 4)
        rows.append(row)
        print(json.dumps(row), flush=True)
        table = {
            "command": "python tests/benchmarks/cluster_scale.py",
            "hardware": f"{pick_device().line()}, {platform.machine()}",
            "budget": f"{WIDTH} float32 columns, {K} clusters, one start, seed 0",
            "seeds": [0],
            "date": datetime.date.today().isoformat(),
            "exponents": exponents(rows),
            "rows": rows,
        }
        write_atomically(path, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        names = ["ours", "scikit-learn"] if sys.argv[2] == "both" else [sys.argv[2]]
        child(names, sys.argv[3], int(sys.argv[4]))
    else:
        main()
