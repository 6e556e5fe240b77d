"""The command line with texts: files of one's own, the small encoders, documents on stdin."""

import dataclasses
import io
import json
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tl_helpers import cli
from tl_helpers.data import load, word_tokenizer
from tl_helpers.models import text_encoder
from tl_helpers.recipes.evaluate import evaluate
from tl_helpers.recipes.saved import load_model


@pytest.fixture(scope="module")
def mails(tmp_path_factory):
    """Eighty short mails that one word tells apart."""
    draw, filler = (
        random.Random(0),
        ["we", "you", "they", "send", "get", "a", "the", "new", "old", "letter", "house", "on", "in", "at"],
    )
    rows = [" ".join([*draw.sample(filler, 8), ("meeting", "invoice")[i % 2]]) for i in range(80)]
    path = tmp_path_factory.mktemp("mails") / "mails.csv"
    path.write_text("\n".join(["text,folder", *(f"{row},{('work', 'bills')[i % 2]}" for i, row in enumerate(rows))]))
    return path


@pytest.fixture(scope="module")
def trained(mails, tmp_path_factory):
    """The checkpoint of a bag of words trained on them."""
    out = tmp_path_factory.mktemp("run")
    argv = ["train", mails, "--label-column", "folder", "--backbone", "bag", "--epochs", 12, "--lr", 0.03, "--out", out]
    assert cli.main([*map(str, argv), "--budget", "class"]) == 0
    return out / "model.safetensors"


def no(capsys, *argv) -> str:
    """What is said on stderr by a command that can't be done."""
    assert cli.main([str(word) for word in argv]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def on_stdin(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))


def test_a_file_of_ones_own_is_learnt(mails, trained, capsys, tmp_path):
    argv = ["train", str(mails), "--label-column", "folder", "--backbone", "bag", "--out", str(tmp_path), "--json"]
    assert cli.main([*argv, "--epochs", "12", "--lr", "0.03", "--budget", "class"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["test"]["n"] == 20 and found["test"]["accuracy"] > 0.9
    assert "test: 20 documents of mails.csv" in printed and "12 epochs at 128 tokens" in printed


def test_a_standard_set_by_name(capsys, tmp_path):
    argv = [
        "train",
        "reuters-r8",
        "--backbone",
        "bag",
        "--budget",
        "ci",
        "--lr",
        "0.03",
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[-1])["test"]["n"] == 2189 and "also in train or val" in printed


def test_predict_reads_documents_from_stdin(trained, capsys, monkeypatch):
    on_stdin(monkeypatch, b"the invoice\nmeeting at the house\r\n")
    assert cli.main(["predict", str(trained), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(a["line"], a["class"]) for a in answers] == [(1, "bills"), (2, "work")]
    assert all(a["probability"] == a["probabilities"][a["class"]] > 0.5 for a in answers)
    on_stdin(monkeypatch, b"\n".join([b"send the invoice"] * 70))
    assert cli.main(["predict", str(trained)]) == 0
    assert capsys.readouterr().out.splitlines()[69].startswith("70: bills (")


def test_predict_names_the_lines_that_it_cannot_read(trained, capsys, monkeypatch):
    on_stdin(monkeypatch, "a meeting\n\ncafé\n".encode("latin-1") + b"invoice")
    assert cli.main(["predict", str(trained)]) == 2
    said = capsys.readouterr()
    assert [line[:7] for line in said.out.splitlines()] == ["1: work", "4: bill"]
    assert "line 2 is empty" in said.err and "line 3 is not UTF-8" in said.err
    on_stdin(monkeypatch, b"")
    assert "There is no document" in no(capsys, "predict", trained)
    on_stdin(monkeypatch, b"\n".join([b"invoice", b"x" * 1_000_001, b"meeting"]))
    assert cli.main(["predict", str(trained)]) == 2
    said = capsys.readouterr()
    assert [line.split(" (")[0] for line in said.out.splitlines()] == ["1: bills", "3: work"]
    assert "line 2 has 1,000,001 characters; a text has at most 1,000,000" in said.err
    monkeypatch.setattr(sys, "stdin", None)  # a service has none
    assert "There is no document" in no(capsys, "predict", trained)
    assert "give one .txt" in no(capsys, "predict", trained, "a.png")
    assert "can't be read" in no(capsys, "predict", trained, "nowhere.txt")


def test_predict_reads_documents_from_a_file(trained, capsys, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("the invoice\nmeeting at the house\n", "utf-8-sig")  # as Windows' editors begin it
    assert cli.main(["predict", str(trained), str(file)]) == 0
    assert [line.split(" (")[0] for line in capsys.readouterr().out.splitlines()] == ["1: bills", "2: work"]
    for content, said in ((b"invoice\rmeeting\n", 1), (b"invoice\rmeeting", 2)):  # a stray \r, and old Macs' line ends
        file.write_bytes(content)
        assert cli.main(["predict", str(trained), str(file)]) == 0
        assert len(capsys.readouterr().out.splitlines()) == said
    for end in ("le", "be"):  # PowerShell's `>` and Notepad's "Unicode"
        file.write_text("\ufeffthe invoice\nmeeting at the house\n", f"utf-16-{end}")
        assert "texts.txt is in UTF-16" in no(capsys, "predict", trained, file)


def test_what_cannot_be_trained_is_told_in_a_sentence(mails, capsys, tmp_path):
    assert "--label-column" in no(capsys, "train", mails, "--backbone", "bag")
    assert "does not read text; --backbone is one of minilm" in no(capsys, "train", mails, "--backbone", "resnet18")
    assert "for pictures" in no(capsys, "train", mails, "--augment", "flip-crop")
    mails.with_name("torn.csv").write_bytes(mails.read_bytes() + b"\ncaf\xe9,work\n,bills\n")
    argv = ["train", mails.with_name("torn.csv"), "--label-column", "folder", "--backbone", "bag", "--epochs", 1]
    assert "line 82 is not UTF-8" in no(capsys, *argv, "--out", tmp_path)
    assert cli.main([*map(str, argv), "--out", str(tmp_path), "--skip-bad"]) == 0
    assert "2 rows left out: line 82 is not UTF-8" in capsys.readouterr().out


def test_the_share_of_documents_that_are_cut_is_told_and_none_is_no_news():
    texts = tuple("word " * (1 + i % 4) for i in range(3000))  # of 1, 2, 3 and 4 tokens; every third is looked at
    data = load("reuters-r8").train.subset(range(3000))
    part = SimpleNamespace(train=dataclasses.replace(data, texts=texts))
    encoder = text_encoder("bag", tokenizer=word_tokenizer(texts))
    assert cli.texts.cut(encoder, part, 4) == []
    assert cli.texts.cut(encoder, part, 3)[0].startswith("About 25 % of the documents are longer than 3 tokens")


def test_predict_cuts_documents_as_training_did(mails, capsys, tmp_path, monkeypatch):
    argv = ["train", mails, "--label-column", "folder", "--backbone", "bag", "--epochs", 1, "--max-tokens", 4]
    assert cli.main([*map(str, argv), "--out", str(tmp_path)]) == 0
    told = "About 100 % of the documents are longer than 4 tokens and are cut; --max-tokens keeps more."
    assert told in capsys.readouterr().out
    model, state = load_model(tmp_path)
    test = load(mails, label_column="folder").test
    assert state["size"] == 4
    capsys.readouterr()
    on_stdin(monkeypatch, "\n".join(test.texts).encode())
    assert cli.main(["predict", str(tmp_path), "--json"]) == 0
    rows = [json.loads(line)["probabilities"] for line in capsys.readouterr().out.splitlines()]
    found = [[row[name] for name in test.classes] for row in rows]
    np.testing.assert_allclose(found, evaluate(model, test).probabilities, atol=1e-4)
