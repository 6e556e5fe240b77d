"""`cluster`: a page, a table and a curve for a folder of pictures or a file of texts, or a sentence that says what to do."""

import csv
import json
import shutil
import xml.etree.ElementTree as Tree

import numpy as np
import pytest
from PIL import Image

from tl_helpers import cli


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Eight red and eight blue pictures in one folder, without classes."""
    folder, draw = tmp_path_factory.mktemp("loose"), np.random.default_rng(0)
    for i in range(16):
        noise = draw.integers(0, 60, (40, 40, 3), dtype=np.uint8)
        noise[..., 2 * (i % 2)] += 190
        Image.fromarray(noise).save(folder / f"{'red' if i % 2 == 0 else 'blue'} & {i:02d}.png")
    return folder


def cluster(*argv) -> list[str]:
    size = [] if str(argv[0]).endswith((".csv", ".txt")) else ["--size", "32"]
    return ["cluster", *map(str, argv), *size, "--map", "pca", "--json"]


def no(capsys, *argv) -> str:
    """What is said on stderr by a command that has to fail."""
    try:
        code = cli.main(["cluster", *map(str, argv)])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    return capsys.readouterr().err


def test_loose_pictures_become_a_page_and_a_table(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(cluster(pictures, "--k", 2, "--out", out)) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["k"] == 2 and found["sizes"] == [8, 8] and found["metrics"] == {} and found["criterion"] is None
    with (out / "assignments.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == sorted(path.name for path in pictures.iterdir())
    colours = {(row["item"].split()[0], row["cluster"]) for row in rows}
    assert len(colours) == 2 and all(0 <= float(row["sureness"]) <= 1 for row in rows)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 * (8 + 4) and "red &amp; 00.png" in page and "<script" not in page
    assert page.count("src=") == page.count('src="data:image/png;base64,') and "http" not in page
    for drawing in page.split("<svg")[1:]:
        Tree.fromstring("<svg" + drawing.split("</svg>")[0] + "</svg>")


def test_auto_names_its_criterion_and_prints_its_curve(pictures, tmp_path, capsys):
    assert cli.main(cluster(pictures, "--out", tmp_path)) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["k"] == 2 and found["criterion"] == "silhouette" and "By silhouette" in printed
    assert "How many clusters? silhouette, mean ± spread of 5 draws:\n  k =" in printed
    assert printed.count("k =") >= 7 and "How many clusters?" in (tmp_path / "index.html").read_text("utf-8")


def test_texts_get_words_and_labels_only_judge(tmp_path, capsys):
    file = tmp_path / "news.csv"
    cats = [f"the cat number {i} sleeps on the sofa and purrs" for i in range(8)]
    ships = [f"a ship with {i} sails left the harbour for the open sea" for i in range(8)]
    lines = [f"{text},{label}" for label, texts in (("animal", cats), ("vessel", ships)) for text in texts]
    file.write_text("\n".join(["text,label", *lines]), "utf-8")
    argv = ("--k", 2, "--method", "gmm", "--out", tmp_path / "out")
    assert cli.main(cluster(file, *argv)) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["method"] == "gmm" and found["metrics"]["accuracy"] == 1.0
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "purrs" in page and "<blockquote>" in page and "largest_class" in page
    plain = tmp_path / "lines.txt"
    plain.write_text("\n\n".join(cats + ships), "utf-8")
    assert cli.main(cluster(plain, "--k", 2, "--out", tmp_path / "plain")) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["sizes"] == [8, 8] and found["metrics"] == {}
    plain.write_bytes("\n".join(cats + ships).encode() + "\nein Sch\u00e4fer".encode("latin-1"))
    assert "line 17 is not UTF-8" in no(capsys, plain, "--k", 2)
    assert cli.main([*cluster(plain, "--k", 2, "--out", tmp_path / "plain"), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "1 row left out" in said and sum(json.loads(said.splitlines()[-1])["sizes"]) == 16
    plain.write_text("\n \n", "utf-8")
    assert "contains no document" in no(capsys, plain, "--k", 2)


def test_a_file_of_texts_needs_no_labels_and_its_columns_can_be_named(tmp_path, capsys):
    file = tmp_path / "mails.csv"
    file.write_text("body\na cat\na dog\na ship\na boat\n", "utf-8")
    said = no(capsys, file, "--k", 2)
    assert "--text-column" in said and "--label-column" not in said
    argv = (file, "--k", 2, "--text-column", "body", "--out", tmp_path / "out")
    assert cli.main(cluster(*argv)) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sum(found["sizes"]) == 4 and found["metrics"] == {}
    assert "no column 'kind'" in no(capsys, *argv, "--label-column", "kind")
    file.write_text("text,label\na cat,animal\na dog,\n,animal\na boat,ship\n", "utf-8")
    assert cli.main([*cluster(file, "--k", 2, "--out", tmp_path / "half"), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert (
        "1 row left out" in said and json.loads(said.splitlines()[-1])["metrics"] == {}
    )  # one label is missing: none count


def test_classes_may_be_called_as_parts_are(pictures, tmp_path, capsys):
    for i, file in enumerate(sorted(pictures.iterdir())):
        place = tmp_path / "set" / ("valid", "invalid")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    assert cli.main(cluster(tmp_path / "set", "--k", 2, "--out", tmp_path / "out")) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]


def test_one_picture_and_what_is_none(pictures, tmp_path, capsys):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.png").write_bytes((pictures / "red & 00.png").read_bytes())
    assert "2 clusters can't be made of 1 row;" in no(capsys, folder, "--k", 2)
    assert "too few to choose k" in no(capsys, folder)
    assert cli.main(cluster(folder, "--k", 1, "--out", tmp_path / "out")) == 0
    (folder / "b.png").write_bytes((pictures / "red & 00.png").read_bytes())
    assert "only 1 of 2 differ" in no(capsys, folder, "--k", 2)
    (folder / "torn.png").write_bytes(b"torn")
    assert "torn.png" in no(capsys, folder, "--k", 1)
    assert cli.main([*cluster(folder, "--k", 1, "--out", tmp_path / "out"), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "left out 1 file that" in said and "torn.png" in said and "one: 2 pictures, " in said


def test_folders_need_not_be_classes(pictures, tmp_path, capsys):
    def found_in(folder, *more) -> tuple:
        assert cli.main([*cluster(folder, "--k", 2, "--out", tmp_path / "out"), *more]) == 0
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        with (tmp_path / "out" / "assignments.csv").open(encoding="utf-8-sig", newline="") as file:
            return len(found["metrics"]) > 0, [row["item"] for row in csv.DictReader(file)]

    files, root = sorted(pictures.iterdir()), tmp_path / "mine"
    (root / "a").mkdir(parents=True)
    for file in files[:2]:
        shutil.copy(file, root / "a")
    assert found_in(root) == (False, [f"a/{file.name}" for file in files[:2]])  # one folder
    for i, file in enumerate(files[2:12]):
        (root / "train" / "bc"[i % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / "train" / "bc"[i % 2])
    labelled, items = found_in(root)  # two pictures of a class
    assert labelled and len(items) == 12 and {item.rpartition("/")[0] for item in items} == {"a", "train/b", "train/c"}
    shutil.copy(files[12], root)
    (root / "a" / ".hidden").mkdir()
    shutil.copy(files[13], root / "a" / ".hidden")
    labelled, items = found_in(root)  # a loose one counts, and has no label
    assert not labelled and len(items) == 13 and files[12].name in items
    (root / "a" / "torn.png").write_bytes(b"torn")
    assert "torn.png" in no(capsys, root, "--k", 2)
    assert found_in(root, "--skip-bad")[1] == items


def test_what_is_asked_wrongly_is_told(pictures, tmp_path, capsys):
    assert "at least 1, or auto" in no(capsys, pictures, "--k", "many")
    assert "at least 1, or auto" in no(capsys, pictures, "--k", 0)
    assert "--criterion has no effect here" in no(capsys, pictures, "--k", 2, "--criterion", "gap")
    assert "invalid choice" in no(capsys, pictures, "--method", "dbscan")
    assert "no folder of pictures, file of texts or set" in no(capsys, tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty has no picture in it" in no(capsys, empty)
    (tmp_path / "file").write_text("")
    nowhere = ("--out", tmp_path / "file" / "x")  # told before the work, which finds that 99 are too many
    assert "--out" in no(capsys, pictures, "--k", 99, "--size", 32, *nowhere)


def test_other_settings_have_another_folder(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "99" in no(capsys, pictures, "--k", 99, "--size", 32)
    assert not (tmp_path / "runs").exists()  # what was refused leaves nothing
    for other in (["--seed", "1"], ["--size", "48"], ["--seed", "0"]):
        assert cli.main([*cluster(pictures, "--k", 2), *other]) == 0
    assert len(list(tmp_path.glob("runs/*/index.html"))) == 3


def test_folders_with_a_note_beside_them_are_a_set_and_repeated_lines_count_once(pictures, tmp_path, capsys):
    root = tmp_path / "sorted"
    for i, file in enumerate(sorted(pictures.iterdir())):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / "ab"[i % 2] / file.name)
    (root / "README.txt").write_text("what these are")
    assert cli.main(["cluster", str(root), "--k", "2", "--size", "32", "--out", str(tmp_path / "page")]) == 0
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(["one thing", "another thing", "a third"] * 20))
    capsys.readouterr()
    assert cli.main(["cluster", str(lines), "--k", "auto", "--out", str(tmp_path / "lines")]) == 0
    assert "3 clusters of 20, 20, 20" in capsys.readouterr().out  # no k above three, though there are sixty lines
