"""The command line: what it trains, what it prints, and how it says no."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tl_helpers import cli, data, doctor, sources
from tl_helpers.engine import checkpoint
from tl_helpers.errors import CourseError
from tl_helpers.models import attach_head, heads, load_backbone
from tl_helpers.recipes.evaluate import evaluate
from tl_helpers.recipes.saved import load_model
from tl_helpers.recipes.transfer import RECIPES, transfer


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes that any network can tell apart, of mixed sizes and kinds of file."""
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for share, name in ((1, "bright"), (4, "dark")):
        (root / name).mkdir()
        for i in range(8):
            pixels = draw.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8) // share
            Image.fromarray(pixels).save(root / name / f"{i}.{'jpg' if i % 2 else 'png'}")
    return root


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """The folder of a probe on these photographs."""
    out = tmp_path_factory.mktemp("run")
    assert cli.main(["train", str(photos), "--recipe", "probe", "--size", "32", "--out", str(out)]) == 0
    return out


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder without carriers."""
    (tmp_path / "data").mkdir()
    for name in ("pyproject.toml", "data/sources.toml"):
        (tmp_path / name).write_bytes((sources.root() / name).read_bytes())
    monkeypatch.setenv("TL_ROOT", str(tmp_path))
    return tmp_path


def no(capsys, *argv) -> str:
    """The one sentence of a command that can't be done."""
    try:
        code = cli.main([str(word) for word in argv])
    except SystemExit as stop:  # argparse
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2 and "Traceback" not in said
    return said.splitlines()[-1]


# --- train -----------------------------------------------------------------------------------------------------------


def test_emoji_are_learnt_and_tried_on_the_other_artist(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TL_BUDGET", "ci")
    argv = ["train", "emoji-google", "--target", "emoji-twitter", "--size", "32", "--out", str(tmp_path), "--json"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert list(found) == ["test", "target", "val", "seconds", "peak_memory_mb", "checkpoint"]
    for part, n in (("test", 207), ("target", 207), ("val", 90)):
        assert set(found[part]) == {"accuracy", "balanced_accuracy", "f1", "n"} and found[part]["n"] == n
    assert f"accuracy          {found['test']['accuracy']:.3f}" in printed
    assert found["seconds"] > 0 and found["peak_memory_mb"] > 0
    assert cli.main(argv) == 0  # finished already: the same command says the same
    again = capsys.readouterr().out
    assert json.loads(again.splitlines()[-1])["test"] == found["test"] and "finished already" in again
    assert "finished already" not in printed and "To use it: " in printed and "One run: which 207 pictures" in printed
    assert printed.startswith("emoji-google: 844 pictures of")
    split, used = json.loads((tmp_path / "split.json").read_text()), data.load("emoji-google").split
    assert split["hash"] == used.hash and split["test"] == used.test.tolist() and len(split["train"]) == 547
    assert "differs in" in no(capsys, *argv, "--seed", 1)
    assert "differs in" in no(capsys, *argv, "--split-seed", 1)
    assert json.loads((tmp_path / "split.json").read_text()) == split  # the finished training's, still


def test_a_folder_with_its_own_split_just_works(tmp_path, capsys):
    folder = data.as_folders("digits", tmp_path / "digits")
    for part in ("train", "val", "test"):  # nine each of two classes are enough
        for label in (folder / part).iterdir():
            for picture in sorted(label.iterdir())[9 if label.name in "01" else 0 :]:
                picture.unlink()
            if label.name not in "01":
                label.rmdir()
    out = str(tmp_path / "run")
    assert cli.main(["train", str(folder), "--recipe", "scratch", "--budget", "ci", "--out", out, "--json"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["test"]["n"] == found["val"]["n"] == 18 and "target" not in found
    assert "One run: which 18 pictures" in printed and "1 epoch at" in printed


def test_what_the_help_offers_is_what_there_is():
    offered = {a.dest: a.choices for a in cli.parser()._subparsers._group_actions[0].choices["train"]._actions}
    assert offered["recipe"] == RECIPES


def test_a_training_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [["elpv"], ["elpv", "--seed", "1"], ["elpv", "--split-seed", "1"], ["elpv", "--recipe", "probe"], ["digits"]]
    runs += [["my.csv", "--label-column", "a"], ["my.csv", "--label-column", "b"], ["my.csv", "--text-column", "b"]]
    folders = {cli.train._out(cli.parser().parse_args(["train", *run]), "class", "128px", 4) for run in runs}
    assert len(folders) == len(runs) and all(folder.parent.name == "runs" for folder in folders)


def test_results_are_not_written_among_the_pictures(photos, tmp_path, capsys, monkeypatch):
    """There they would be read as a class of their own by the next training."""
    monkeypatch.chdir(photos)
    for command in (["train", ".", "--recipe", "probe", "--size", 32], ["cluster", photos, "--k", 2, "--size", 32]):
        assert "among the pictures: choose a folder elsewhere with --out" in no(capsys, *command)
    monkeypatch.chdir(photos / "dark")
    assert "among the pictures" in no(capsys, "train", "..", "--recipe", "probe", "--size", 32)
    assert not list(photos.rglob("runs"))


@pytest.mark.parametrize(("size", "kept"), [(384, 384), (32, 256)])
def test_pictures_are_kept_as_large_as_training_wants_them(tmp_path, size, kept):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.new("RGB", (600, 500), (40 * i, 0, 99 * (name == "a"))).save(tmp_path / name / f"{i}.png")
    given = cli.parser().parse_args(["train", str(tmp_path), "--size", str(size)])
    assert cli.train._sets(given)[0].images.shape[-2:] == (kept, kept)


def test_what_cannot_be_trained_is_told_in_a_sentence(photos, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "names are emoji-google" in no(capsys, "train", "emojis-from-nowhere")
    assert "efficientnet_lite0" in no(capsys, "train", photos, "--backbone", "efficientnet_lite1000")
    assert "minilm reads texts" in no(capsys, "train", photos, "--backbone", "minilm")
    assert "On the command line: --recipe scratch" in no(capsys, "train", photos, "--backbone", "small_cnn")
    assert not (tmp_path / "runs").exists()  # what was refused leaves nothing
    assert "needs the classes of" in no(capsys, "train", photos, "--target", "digits")
    texts = tmp_path / "texts.csv"
    texts.write_text("\n".join(["text,label", *(f"mail {i},{('bright', 'dark')[i % 2]}" for i in range(40))]))
    assert "takes a set of the same kind" in no(capsys, "train", photos, "--target", texts)
    assert "whole number" in no(capsys, "train", photos, "--epochs", 0)
    assert "below 2**32" in no(capsys, "train", photos, "--seed", 5_000_000_000)
    assert "'nan' is not a number of 0 or more" in no(capsys, "train", photos, "--weight-decay", "nan")
    assert "flip-crop" in no(capsys, "train", photos, "--augment", "magic")
    assert "invalid choice" in no(capsys, "train", photos, "--recipe", "magic")
    assert "required: DATA" in no(capsys, "train")
    assert "--out" in no(capsys, "train", photos, "--out", trained / "model.safetensors")
    monkeypatch.setenv("TL_DEVICE", "abacus")
    assert "abacus" in no(capsys, "train", photos)
    monkeypatch.setenv("TL_BUDGET", "boundless")
    assert "ci, class, full" in no(capsys, "train", photos)


def test_a_broken_picture_is_named_and_left_out_only_when_asked(photos, tmp_path, capsys):
    broken = photos / "dark" / "torn.png"
    broken.write_bytes(b"torn")
    try:
        argv = ["train", photos, "--recipe", "probe", "--size", 32, "--out", tmp_path]
        assert "--skip-bad" in no(capsys, *argv)
        assert cli.main([*map(str, argv), "--skip-bad"]) == 0
        assert "torn.png" in capsys.readouterr().out
    finally:
        broken.unlink()


def test_a_reader_may_stop_it(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "doctor", stop)
    monkeypatch.setattr(cli.train, "run", stop)
    assert cli.main(["doctor"]) == cli.main(["train", "digits"]) == 130
    said = capsys.readouterr().err
    assert said.count("Stopped by you.") == 2 and said.count("The same command") == 1  # only a training goes on
    assert said.endswith("trials of a search.\n")


def test_whoever_reads_the_answers_may_stop(monkeypatch, capsys):
    reads, writes = os.pipe()
    os.close(reads)  # as `head` does after its line
    with open(writes, "w") as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        assert cli.main(["doctor"]) == 0
        patch.setattr(cli, "doctor", lambda: print("one line, not flushed") or True)
        assert cli.main(["doctor"]) == 0
    assert not capsys.readouterr().err


def test_help_can_be_read_in_ascii(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    with pytest.raises(SystemExit) as end:
        cli.main(["predict", "--help"])
    assert end.value.code == 0


def test_a_full_memory_is_told(monkeypatch, capsys):
    monkeypatch.setattr(cli, "doctor", lambda: torch.empty(10**15))
    assert "not enough memory" in no(capsys, "doctor")

    def on_a_gpu():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(cli, "doctor", on_a_gpu)
    assert "not enough memory" in no(capsys, "doctor")


# --- predict ---------------------------------------------------------------------------------------------------------


def test_predict_reads_the_checkpoint_alone(photos, trained, capsys):
    files = [photos / "bright" / "0.png", photos / "dark" / "1.jpg"]
    assert cli.main(["predict", str(trained / "model.safetensors"), *map(str, files), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(a["file"], a["class"]) for a in answers] == [(str(files[0]), "bright"), (str(files[1]), "dark")]
    assert all(a["probability"] == a["probabilities"][a["class"]] > 0.5 for a in answers)
    assert cli.main(["predict", str(trained / "model.safetensors"), str(files[0])]) == 0
    assert capsys.readouterr().out.startswith(f"{files[0]}: bright (")


def test_predict_answers_for_the_rest_and_names_what_it_cannot_read(photos, trained, tmp_path, capsys):
    (tmp_path / "letter.png").write_text("no picture")
    files = [tmp_path / "letter.png", photos / "dark" / "0.png", tmp_path / "gone.jpg"]
    assert cli.main(["predict", str(trained / "model.safetensors"), *map(str, files)]) == 2
    said = capsys.readouterr()
    assert "0.png: dark" in said.out
    assert "letter.png is not a picture" in said.err and "gone.jpg does not exist" in said.err


def test_predict_takes_the_folder_of_a_training_and_a_folder_of_pictures(photos, trained, tmp_path, capsys):
    assert cli.main(["predict", str(trained), str(photos)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16 and lines[0].startswith(f"{photos / 'bright' / '0.png'}: bright")
    assert cli.main(["predict", str(trained), str(photos / "bright" / "*.png")]) == 0  # as Windows' shells hand it on
    assert len(capsys.readouterr().out.splitlines()) == len(list((photos / "bright").glob("*.png"))) > 1
    named = [photos / "dark" / "0.png", photos / "dark" / "0.png", photos / "*" / "0.png"]
    assert cli.main(["predict", str(trained), *map(str, named)]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["dark", "dark", "bright", "dark"]
    assert "does not exist" in no(capsys, "predict", trained, photos / "**.png")
    assert "is a folder without a picture" in no(capsys, "predict", trained, tmp_path)
    assert "There is no checkpoint" in no(capsys, "predict", photos, photos)


def test_predict_wants_a_checkpoint(photos, tmp_path, capsys):
    picture = photos / "dark" / "0.png"
    said = no(capsys, "predict", picture, picture)  # a picture in the place of the checkpoint stays where it is
    assert "is not a checkpoint" in said and "Delete" not in said and said.endswith("CHECKPOINT comes first.")
    save_file({"weight": torch.zeros(2)}, tmp_path / "others.safetensors")
    assert "Delete" not in no(capsys, "predict", tmp_path / "others.safetensors", picture)
    assert "There is no checkpoint" in no(capsys, "predict", tmp_path / "none.safetensors", picture)


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_finds_all_well_here(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_answers", lambda store: False)  # the network is others' business
    assert cli.main(["doctor"]) == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert all(line.startswith("OK ") for line in lines) and "can run" in verdict
    for word in ("Python", "torch", "hardware:", "bf16", "elpv", "6.4 GB", "network"):
        assert any(word in line for line in lines), word


def test_doctor_says_what_to_do(project, capsys, monkeypatch):
    toml = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(toml.replace('"timm>=1.0.20"', '"timm>=99", "no-such-package"'))
    monkeypatch.setattr(doctor, "SPARE_GB", 1e9)
    monkeypatch.setattr(doctor, "_answers", lambda store: True)
    monkeypatch.setattr("tl_helpers.device.bf16_gains", lambda: {"a backbone, this machine": 1.0})
    monkeypatch.setenv("TL_BUDGET", "boundless")
    assert cli.main(["doctor"]) == 2
    wrong = "\n".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("-- "))
    for word in ("timm>=99", "no-such-package (found: none)", "boundless", "Make room", "data: ", "elpv"):
        assert word in wrong
    assert wrong.count("tl_helpers fetch") == 1  # one line for all that is missing
    (project / "pyproject.toml").unlink()
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert "pyproject.toml" in said and "data: " in said  # a file that is missing does not stop the other checks


def test_doctor_in_another_python_names_the_courses_own(project, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    monkeypatch.chdir(project)
    assert cli.main(["doctor"]) == 2
    assert "`make lab`" in capsys.readouterr().out
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").touch()
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().out.endswith(f"Use the course's own: {Path('.venv/bin/python')} -m tl_helpers doctor\n")
    assert "is not the course's" in doctor.explain(ModuleNotFoundError("No module named 'torch'"))


def test_a_torchvision_for_another_torch_is_recognised(tmp_path, monkeypatch, capsys):
    slip = RuntimeError("operator torchvision::nms does not exist")
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(f'raise RuntimeError("{slip}")')
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(sources.root())])}
    run = [sys.executable, "-m", "tl_helpers", "doctor"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and not done.stderr
    assert "were not built for each other" in done.stdout

    def fail():
        raise slip

    monkeypatch.setattr(cli, "doctor", fail)  # any command that loads torch
    assert "were not built for each other" in no(capsys, "doctor")


def test_other_errors_stay_what_they_are(monkeypatch):
    def fail():
        raise RuntimeError("a slip of ours")

    monkeypatch.setattr(cli, "doctor", fail)
    with pytest.raises(RuntimeError, match="a slip of ours"):  # never dressed up as the reader's mistake
        cli.main(["doctor"])
    monkeypatch.setattr(sys, "prefix", str(sources.root() / ".venv"))  # as if set up
    assert "not complete" in doctor.explain(ModuleNotFoundError("No module named 'timm'"))


def test_whether_a_store_answers(tmp_path):
    def broken() -> str:
        raise ImportError

    (tmp_path / "store").touch()
    assert doctor._answers((tmp_path / "store").as_uri)  # a URL that can be opened without a network
    assert not doctor._answers((tmp_path / "none").as_uri) and not doctor._answers(broken)


# --- fetch -----------------------------------------------------------------------------------------------------------


def test_fetch_uses_uv_or_pip_with_the_hashes(monkeypatch):
    monkeypatch.setattr(cli.shutil, "which", lambda *args, **more: "/env/bin/uv")
    command = cli.fetch_command(repair=False)
    assert {"--no-deps", "--require-hashes", "--target", "--link-mode=copy"} < set(command)
    assert command[0] == "/env/bin/uv" and "--reinstall" in cli.fetch_command(repair=True)
    monkeypatch.setattr(cli.shutil, "which", lambda *args, **more: None)
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    command = cli.fetch_command(repair=True)
    assert command[:3] == [sys.executable, "-m", "pip"] and "--force-reinstall" in command
    assert {"--no-deps", "--require-hashes", "--upgrade"} < set(command)
    assert not any("://" in word for word in command)


def test_fetch_says_that_it_failed_and_that_it_installed_nothing(project, capsys):
    assert "not installed" in no(capsys, "fetch")  # there is no lock in this project
    (project / "data" / "requirements.txt").write_text("")  # an empty one installs nothing, and fetch sees that
    assert "needs the carrier" in no(capsys, "fetch")


def test_a_weight_decay_of_nothing_is_not_the_default(photos, tmp_path):
    args = ["train", str(photos), "--recipe", "scratch", "--backbone", "small_cnn", "--epochs", "1", "--size", "32"]
    for decay, expected in (([], 0.01), (["--weight-decay", "0"], 0.0)):
        out = tmp_path / f"run{expected}"
        assert cli.main([*args, *decay, "--out", str(out)]) == 0
        assert load_model(out)[1]["made"]["settings"]["weight_decay"] == expected


def test_predict_sees_what_the_test_saw(tmp_path, capsys):
    root, draw = tmp_path / "large", np.random.default_rng(0)
    for name in ("fine", "coarse"):
        (root / name).mkdir(parents=True)
        for i in range(6):
            pixels = draw.integers(0, 256, (300, 400, 3) if name == "fine" else (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((400, 300), Image.NEAREST).save(root / name / f"{i}.jpg")
    assert cli.main(["train", str(root), "--recipe", "probe", "--size", "48", "--out", str(tmp_path / "run")]) == 0
    model, _ = load_model(tmp_path / "run")
    test = data.load(root).test
    expected = evaluate(model, test).probabilities
    capsys.readouterr()
    assert cli.main(["predict", str(tmp_path / "run"), *(str(root / name) for name in test.names), "--json"]) == 0
    rows = [json.loads(line)["probabilities"] for line in capsys.readouterr().out.splitlines()]
    found = [[row[name] for name in test.classes] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_predict_lays_a_picture_on_the_ground_of_the_training(tmp_path, capsys):
    root, draw = tmp_path / "cut out", np.random.default_rng(0)
    for k, name in enumerate(("left", "right")):
        (root / name).mkdir(parents=True)
        for i in range(6):
            pixels = draw.integers(0, 256, (32, 32, 4), dtype=np.uint8)
            pixels[:, :, 3] = 255 * (np.arange(32) // 16 == k)  # half of it is there
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    halves = data.load(root, background="black")
    model = attach_head(load_backbone("efficientnet_lite0"), heads.linear(2))
    transfer(model, halves, "probe", size=32, checkpoint=tmp_path / "run")
    expected = evaluate(model, halves.test).probabilities
    names = [str(root / name) for name in halves.test.names]
    assert cli.main(["predict", str(tmp_path / "run"), *names, "--json"]) == 0
    rows = [json.loads(line)["probabilities"] for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose([[row[name] for name in halves.classes] for row in rows], expected, atol=1e-4)


def test_a_name_that_is_not_utf_8_is_answered_for(photos, trained, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes((photos / "bright" / "0.png").read_bytes())
    command = [sys.executable, "-m", "tl_helpers", "predict", str(trained), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0 and rb"caf\udce9.png: bright" in done.stdout and not done.stderr


def test_the_budgets_size_is_changed_to_one_that_the_backbone_takes_and_a_set_says_what_memory_it_takes(
    photos, tmp_path, capsys, monkeypatch
):
    asked = []

    def stop(*_, **how):
        asked.append(how["size"])
        raise CourseError("that is all")

    monkeypatch.setattr("tl_helpers.recipes.transfer.transfer", stop)
    argv = ["train", photos, "--backbone", "dinov2", "--recipe", "scratch", "--out", tmp_path]
    for budget, size in (("ci", 70), ("class", 126)):
        assert cli.main([*map(str, argv), "--budget", budget]) == 2
        said = capsys.readouterr().out
        assert f"this budget's size: {size} are used" in said and f" at {size} px" in said
        assert "photos" in said and "pictures of 2 classes, 3.1 MB in memory" in said
    assert cli.main([*map(str, argv), "--size", "28"]) == 2
    assert asked == [70, 126, 28] and "are used" not in capsys.readouterr().out


def test_a_training_that_ended_below_its_own_probe_says_so(photos, tmp_path, capsys, monkeypatch):
    for probe, says in ((0.0, False), (1.5, True)):

        def as_if(*given, probe=probe, **how):
            result = transfer(*given, **how)
            assert [row["phase"] for row in result.history] == ["probe", "fine-tune"]
            result.history[0]["val_accuracy"] = probe
            return result

        monkeypatch.setattr("tl_helpers.recipes.transfer.transfer", as_if)
        argv = ["train", photos, "--budget", "ci", "--size", 32, "--out", tmp_path / str(probe)]
        assert cli.main([*map(str, argv)]) == 0
        assert ("below its own probe's 1.500. Try --recipe probe" in capsys.readouterr().out) == says


def test_options_without_an_effect_are_refused(photos, capsys):
    for option, value in (("--lr", 0.1), ("--ema", 0.9), ("--augment", "flip-crop"), ("--epochs", 3), ("--search", 2)):
        assert f"{option} has no effect here: a probe" in no(
            capsys, "train", photos, "--recipe", "probe", option, value
        )
    assert "is not a set of texts" in no(capsys, "train", photos, "--max-tokens", 20)
    assert "the columns of reuters-r8 are known" in no(capsys, "train", "reuters-r8", "--text-column", "body")
    assert "not a share between 0 and 1" in no(capsys, "train", photos, "--ema", 2)
    given = ("--lr", 0.1, "--weight-decay", 0, "--augment", "none")
    assert "are all given" in no(capsys, "train", photos, "--search", 2, *given)


def test_a_model_whose_training_was_interrupted_says_so(photos, trained, tmp_path, capsys):
    tensors, state = checkpoint.load(trained / "model.safetensors")
    checkpoint.save(tmp_path / "model.safetensors", tensors, {**state, "ended": "interrupted"})
    assert cli.main(["predict", str(tmp_path), str(photos / "dark" / "0.png")]) == 0
    assert "was interrupted after 0 epochs" in capsys.readouterr().err
