"""`train --search N`: trials on validation are printed, the best settings train, the test set is looked at once, last."""

import json

import pytest

from tl_helpers import cli
from tl_helpers.recipes import search as searching
from tl_helpers.recipes import transfer as training

SMALL = ["train", "emoji-google", "--budget", "ci", "--size", "32", "--recipe", "fine-tune", "--epochs", "2"]


def test_a_search_is_printed_and_its_best_trained(tmp_path, capsys, monkeypatch):
    used = []
    original = training.transfer

    def spy(model, data, recipe, **settings):
        assert "test" not in vars(data)  # made when first asked for: nobody has looked at it yet
        used.append(settings)
        return original(model, data, recipe, **settings)

    monkeypatch.setattr(training, "transfer", spy)
    monkeypatch.setattr(searching, "transfer", spy)
    command = [*SMALL, "--search", "2", "--lr", "0.001", "--ema", "0.9", "--out", str(tmp_path / "out"), "--json"]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("trial ")] == ["1", "2"]
    assert shown.index("trial  2") < shown.index("test: 207 pictures") and shown.count("test: ") == 1
    assert "accuracy" in json.loads(shown.splitlines()[-1])["test"]
    assert len(used) == 3 and {settings["lr"] for settings in used} == {0.001}  # given by name, so not searched
    assert {settings["ema"] for settings in used} == {0.9}  # a trial trains as the training that it stands for
    best = {key: used[2][key] for key in ("augment", "weight_decay")}
    assert best in [{key: settings[key] for key in best} for settings in used[:2]]
    kept = json.loads((tmp_path / "out" / "search.json").read_text())["trials"]
    assert len(kept) == 2
    # the same command goes on: finished trials are read, not trained again
    used.clear()
    assert cli.main(command) == 0
    assert len(used) == 1 and "trial  2" in capsys.readouterr().out


def test_a_search_tries_no_augmentation_that_changes_the_class(tmp_path, monkeypatch):
    tried = set()

    class SeenError(Exception):
        pass

    def spy(model, data, space, **settings):
        tried.update(space["augment"])
        assert settings["pruner"] == "hyperband"
        raise SeenError

    monkeypatch.setattr(searching, "search", spy)
    for data, suitable in {"digits": {"none", "shift"}, "elpv": {"none", "cells"}}.items():
        tried.clear()
        with pytest.raises(SeenError):
            cli.main(["train", data, *SMALL[2:], "--search", "2", "--out", str(tmp_path / data)])
        assert tried == suitable  # a mirrored digit is no digit


def test_the_rate_may_be_left_to_the_finder(tmp_path, capsys):
    assert cli.main([*SMALL, "--lr", "auto", "--out", str(tmp_path / "out")]) == 0
    assert "finder suggests a peak of" in capsys.readouterr().out


@pytest.mark.parametrize("more", [["--search", "0"], ["--search", "2", "--recipe", "probe"]])
def test_what_cannot_be_searched_is_told(tmp_path, capsys, more):
    try:
        code = cli.main([*SMALL, "--out", str(tmp_path / "out"), *more])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    said = capsys.readouterr().err
    assert "at least 1" in said or "has no effect here" in said
