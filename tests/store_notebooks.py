"""Run notebooks in the `class` budget and store their outputs: the only way that outputs get into the repository.

    python tests/store_notebooks.py          those whose code has changed since their outputs were stored
    python tests/store_notebooks.py 01 07    those named

A notebook is written only if all of it ran and its outputs are clean: see `problems`. What took long is printed: on an
idle laptop a cell has 20 seconds, a notebook five minutes; and no notebook may need more than 4 GB.
"""

import base64
import hashlib
import io
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
FIGURE_BYTES, NOTEBOOK_BYTES = 80_000, 800_000
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# a path that exists only on the machine that made the outputs; backslashes are doubled in JSON
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|Users|tmp|work|var|private|mnt|opt)/|[A-Z]:\\\\+\w|site-packages")


def source_hash(nb: nbformat.NotebookNode) -> str:
    """What the stored outputs depend on: the code, not the text around it."""
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def stored_hash(nb: nbformat.NotebookNode) -> str | None:
    """The hash of the code that the stored outputs came from."""
    return nb.metadata.get("stored", {}).get("source")


def run(nb: nbformat.NotebookNode) -> dict[str, float]:
    """Execute in place, as a student's JupyterLab would, but without progress bars: the seconds of each cell, by its id.

    A cell that fails raises an error.
    """
    os.environ.update(CI="1", TL_BUDGET="class", JUPYTER_PREFER_ENV_PATH="1")
    seconds: dict[str, float] = {}
    NotebookClient(
        nb,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_execute=lambda cell, cell_index: seconds.update({cell.id: -time.time()}),
        on_cell_complete=lambda cell, cell_index: seconds.update({cell.id: seconds[cell.id] + time.time()}),
    ).execute()
    return seconds


def clean(nb: nbformat.NotebookNode) -> None:
    """Remove what differs between runs or machines, and make large pictures smaller."""
    hashed = source_hash(nb)
    nb.metadata.clear()
    nb.metadata.update(KERNEL | {"stored": {"budget": "class", "source": hashed}})
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(WIDGET_VIEW, None)  # its model is gone; the text next to it stays
            if len(base64.b64decode(data.get("image/png", ""))) > FIGURE_BYTES:
                data["image/png"] = fewer_colours(data["image/png"])


def fewer_colours(png: str) -> str:
    """The base64 PNG with 256 colours on white: a third of the size, and hard to tell from the original."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    buffer = io.BytesIO()
    flat.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def problems(nb: nbformat.NotebookNode) -> list[str]:
    """What keeps this notebook's outputs from being stored; empty when all is well."""
    found = []
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("its code cells have not run in order, 1 to n")
    if stored_hash(nb) != source_hash(nb):
        found.append("its code has changed since its outputs were stored")
    if nb.metadata != KERNEL | {"stored": nb.metadata.get("stored")}:
        found.append("its metadata is not as it is stored here (widgets, kernel, language)")
    for cell in code:
        if "execution" in cell.metadata:
            found.append(f"cell {cell.id} has timings")
        for output in cell.outputs:
            found += [f"cell {cell.id}: {what}" for what in output_problems(output, cell.metadata.get("tags", []))]
    if len(nbformat.writes(nb).encode()) > NOTEBOOK_BYTES:
        found.append(f"it is larger than {NOTEBOOK_BYTES:,} bytes")
    return found


def output_problems(output: nbformat.NotebookNode, tags: list[str]) -> list[str]:
    """What is wrong with one stored output: an error, a figure that is too large, a path on this machine."""
    found = []
    if output.output_type == "error" and "raises-exception" not in tags:
        found.append(f"ended in {output.ename}: {output.evalue}")
    data = dict(output.get("data", {}))
    for kind in [key for key in data if key.startswith("image/")]:
        picture = data.pop(kind)
        size = len(picture if kind == "image/svg+xml" else base64.b64decode(picture))
        if size > FIGURE_BYTES:
            found.append(f"a figure of {size:,} bytes; {FIGURE_BYTES:,} is the most (fewer panels, or a lower dpi)")
    text = json.dumps([data, output.get("text"), output.get("traceback")])
    if path := MACHINE_PATH.search(text):
        found.append(f"a path of this machine is in its output: …{text[max(0, path.start() - 20) : path.end() + 40]}…")
    return found


def peak_memory() -> float:
    """The most that one kernel has needed so far, in GB; 0 on Windows, which does not say."""
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def main(wanted: list[str]) -> int:
    """Store the notebooks whose numbers are in `wanted`, or the changed ones if it is empty; 1 if one is not clean."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    unknown = set(wanted) - {path.name[:2] for path in paths}
    if unknown:
        print(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(path.name[:2] for path in paths)}")
        return 2
    failed = 0
    for path in paths:
        nb = nbformat.read(path, as_version=4)
        if path.name[:2] not in wanted if wanted else stored_hash(nb) == source_hash(nb):
            print(f"{path.name}: unchanged" if not wanted else f"{path.name}: not asked for")
            continue
        start = time.time()
        seconds = run(nb)
        clean(nb)
        found = problems(nb)
        if (memory := peak_memory()) > 4:
            found.append(f"its kernel, or one before it, needed {memory:.1f} GB; 4 is the most")
        if not found:
            path.write_text(nbformat.writes(nb).rstrip("\n") + "\n", encoding="utf-8")
        failed += bool(found)
        slow = [f"cell {name}: {took:.0f} s" for name, took in seconds.items() if took > 20]
        done = f"{'NOT stored' if found else 'stored'}, {time.time() - start:.0f} s, at most {memory:.1f} GB so far"
        print(f"{path.name}: {done}", *found, *slow, sep="\n  ", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
