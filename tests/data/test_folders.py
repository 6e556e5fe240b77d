"""A student's own folder: layouts, sizes, bad files by name, and what can't be learnt from."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from tl_helpers.data import StreamedImages, load
from tl_helpers.data import images as pictures
from tl_helpers.errors import CourseError


def picture(path, size=(20, 20), colour=(200, 30, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(path).encode())).integers(0, 40, (size[1], size[0], 3))
    Image.fromarray((noise + np.array(colour)).clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def pets(tmp_path):
    """Two classes of eight pictures."""
    root = tmp_path / "pets"
    for i in range(8):
        picture(root / "cat" / f"{i}.png")
        picture(root / "dog" / f"{i}.jpg", colour=(30, 30, 200))
    return root


def test_one_folder_per_class(pets):
    (pets / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "Thumbs.db").write_bytes(b"x")
    items = load(pets)
    assert items.classes == ("cat", "dog") and items.class_counts() == {"cat": 8, "dog": 8}
    assert items.images.shape == (16, 3, 20, 20) and items.name == "pets"
    assert items.names[0] == "cat/0.png" and items.names[-1] == "dog/7.jpg"
    assert len(items.train) + len(items.val) + len(items.test) == 16
    assert load(str(pets)).fingerprint == items.fingerprint
    assert load(pets, split_seed=1).split.hash != items.split.hash


def test_what_stands_in_a_hidden_folder_is_no_picture(pets):
    picture(pets / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png")
    assert load(pets).class_counts() == {"cat": 8, "dog": 8}


def test_files_of_the_same_bytes_stay_on_one_side_of_a_cut(tmp_path, capsys):
    for name in ("cat", "dog"):
        for i in range(9):
            picture(tmp_path / name / f"{i}.png", colour=(20 * i, 30, 200))
            for copy in (1, 2)[: i % 3]:
                (tmp_path / name / f"{i} ({copy}).png").write_bytes((tmp_path / name / f"{i}.png").read_bytes())
    for seed in range(5):
        items = load(tmp_path, split_seed=seed)
        sides = [
            {name.split(".")[0].split(" ")[0] for name in part.names} for part in (items.train, items.val, items.test)
        ]
        assert sum(map(len, sides)) == 18 and all(sides) and "18 repeated files" in capsys.readouterr().out
    assert len(items.groups.unique()) == 18 and len(items) == 36


def test_a_split_that_is_brought_keeps_its_copies(tmp_path, capsys):
    for part in ("train", "val", "test"):
        for name in ("cat", "dog"):
            for i in range(3):
                picture(tmp_path / part / name / f"{i}.png")
    (tmp_path / "test" / "cat" / "copy.png").write_bytes((tmp_path / "train" / "cat" / "0.png").read_bytes())
    items = load(tmp_path)
    assert (len(items.train), len(items.val), len(items.test)) == (6, 6, 7)
    assert "byte for byte" in capsys.readouterr().out and "test/cat/copy.png" in items.test.names


def test_tables_beside_pictures_make_no_texts_of_them(pets):
    (pets / "train.csv").write_text("id,label\n1,cat\n")
    assert load(pets).classes == ("cat", "dog")
    own = pets.parent / "own"
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            for i in range(4):
                picture(own / part / name / f"{i}.png")
    (own / "train.csv").write_text("id,label\n1,cat\n")
    assert len(load(own).val) == 8
    (pets / "dog").rename(pets / "train")  # pictures by number, with the classes in the table: no set of pictures
    with pytest.raises(CourseError, match=r"no test\.csv"):
        load(pets)


def test_mixed_sizes_are_brought_to_one(pets, monkeypatch):
    picture(pets / "cat" / "wide.png", size=(90, 30))
    assert load(pets).images.shape == (17, 3, 256, 256)
    assert load(pets, image_size=24).images.shape == (17, 3, 24, 24)
    monkeypatch.chdir(pets)
    assert load(".").name == pets.name


def test_a_split_that_is_brought_is_kept(tmp_path):
    root = tmp_path / "own"
    for part, n in (("train", 6), ("valid", 2), ("test", 3)):
        for name in ("cat", "dog"):
            for i in range(n):
                picture(root / part / name / f"{i}.png")
    items = load(root)
    assert [len(part) for part in (items.train, items.val, items.test)] == [12, 4, 6]
    assert all(name.startswith("test/") for name in items.test.names)
    assert all(name.startswith("valid/") for name in items.val.names)


@pytest.mark.parametrize("present", [("train",), ("train", "val"), ("train", "test")])
def test_parts_that_are_missing_are_cut_from_train(tmp_path, present):
    root = tmp_path / "own"
    for part in present:
        for name in ("cat", "dog"):
            for i in range(12):
                picture(root / part / name / f"{i}.png")
    items = load(root)
    counts = [len(part) for part in (items.train, items.val, items.test)]
    assert sum(counts) == len(items) == 24 * len(present) and min(counts) >= 2
    for part in present[1:]:
        assert len(getattr(items, part)) == 24
        assert all(name.startswith(part) for name in getattr(items, part).names)


def spoil(pets):
    (pets / "cat" / "empty.png").write_bytes(b"")
    (pets / "cat" / "notes.txt").write_text("no picture")
    whole = (pets / "dog" / "0.jpg").read_bytes()
    (pets / "dog" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])


def test_bad_files_are_listed_by_name(pets):
    spoil(pets)
    with pytest.raises(CourseError) as caught:
        load(pets)
    message = str(caught.value)
    assert message.startswith("3 of the files") and "skip_bad=True" in message
    assert all(name in message for name in ("empty.png", "notes.txt", "cut.jpg"))


def test_bad_files_are_left_out_only_when_asked_and_aloud(pets, capsys):
    clean = load(pets)
    spoil(pets)
    items = load(pets, skip_bad=True)
    assert torch.equal(items.images, clean.images) and items.split.hash == clean.split.hash
    said = capsys.readouterr().out
    assert "left out 3 files" in said and all(name in said for name in ("empty.png", "notes.txt", "cut.jpg"))


def test_many_bad_files_are_counted_not_all_listed(pets):
    for i in range(30):
        (pets / "cat" / f"bad{i:02d}.png").write_text("x")
    with pytest.raises(CourseError, match=r"and 10 more"):
        load(pets)


def test_the_background_is_asked_for(pets):
    for name in ("cat", "dog"):
        for i in range(8):
            Image.new("RGBA", (20, 20), (i, 0, ord(name[0]), 0)).save(pets / name / f"{i}.png")
    for file in (pets / "dog").glob("*.jpg"):
        file.unlink()
    assert load(pets).images.min() == 255
    assert load(pets, background="black").images.max() == 0


def test_a_set_too_large_for_memory_is_streamed_and_says_so(pets, monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    kept = load(pets)
    monkeypatch.setattr(pictures, "fits_in_memory", lambda n_bytes: False)
    streamed = load(pets)
    assert isinstance(streamed.images, StreamedImages)
    assert "don't fit" in capsys.readouterr().out
    assert torch.equal(streamed.train.images[torch.arange(4)], kept.train.images[:4])
    assert streamed.fingerprint == load(pets).fingerprint
    first = sorted((pets / "cat").iterdir())[0]
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    (pets / "cat" / "empty.png").write_bytes(b"")
    with pytest.raises(CourseError, match=rf"(?s)(empty\.png.*{first.name}|{first.name}.*empty\.png)"):
        load(pets)
    left = load(pets, skip_bad=True)
    assert len(left) == len(kept) - 1 and not any(
        first.name == name.split("/")[-1] and "cat" in name for name in left.names
    )
    assert left.images[torch.arange(len(left))].shape == (len(left), 3, left.images.size, left.images.size)


def write_nothing(root):
    root.mkdir()


def write_flat(root):
    picture(root / "1.png")


def write_one_class(root):
    for i in range(5):
        picture(root / "cat" / f"{i}.png")


def write_empty_class(root):
    write_one_class(root)
    (root / "dog").mkdir()


def write_too_few(root):
    write_one_class(root)
    picture(root / "dog" / "1.png")


def write_stranger(root):
    for name in ("cat", "dog"):
        for i in range(4):
            picture(root / "train" / name / f"{i}.png")
            picture(root / "test" / name / f"{i}.png")
    picture(root / "test" / "bird" / "1.png")


def write_hollow_train(root):
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        for i in range(4):
            picture(root / "test" / name / f"{i}.png")
    picture(root / "train" / "cat" / "1.png")


def write_lean_train(root):
    for name, n in (("cat", 5), ("dog", 2)):
        for i in range(n):
            picture(root / "train" / name / f"{i}.png")
            picture(root / "test" / name / f"{i}.png")


def write_copies(root):
    write_one_class(root)
    for i in range(5):
        picture(root / "dog" / f"{i}.png", colour=(i, 30, 200))
        (root / "dog" / f"{i}.png").write_bytes((root / "dog" / "0.png").read_bytes())


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (write_nothing, "no folders of pictures.*one folder per class"),
        (write_flat, "no folders of pictures"),
        (write_one_class, "only one class, 'cat'"),
        (write_empty_class, "No picture in .* for: dog"),
        (write_too_few, r"Too few: dog \(1\)"),
        (write_stranger, "bird is a class that .*train does not have"),
        (write_hollow_train, "train has no picture for dog, found in val or test"),
        (write_lean_train, r"three pictures that differ.*val can be cut.*dog \(2\)"),
        (write_copies, r"three pictures that differ.*val and test can be cut.*dog \(1\)"),
    ],
)
def test_what_can_not_be_learnt_from_is_told(tmp_path, write, problem):
    write(tmp_path / "own")
    with pytest.raises(CourseError, match=problem):
        load(tmp_path / "own")


def test_a_file_or_a_name_that_is_no_set_is_told(tmp_path, monkeypatch):
    picture(tmp_path / "1.png")
    with pytest.raises(CourseError, match="is a file"):
        load(tmp_path / "1.png")
    with pytest.raises(CourseError, match=r"did you mean 'emoji-google'\?.*elpv"):
        load("emoji-gogle")
    with pytest.raises(CourseError, match="is for elpv"):
        load("digits", split="blocks")
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        (tmp_path / f"{part}.csv").write_text("text,label\none,a\ntwo,b\n")
    with pytest.raises(CourseError, match="an empty text"):
        load("")  # and not the folder one is in
    for name in ("~nobodyhere/x", "x" * 300):
        with pytest.raises(CourseError, match=f"There is no set or folder '{name}'"):
            load(name)
    with pytest.raises(CourseError, match="split_seed is 0 or more; found -1"):
        load("reuters-r8", split_seed=-1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("mode", [0o000, 0o311])
def test_a_folder_that_may_not_be_read_is_told(pets, mode):
    pets.chmod(mode)
    with pytest.raises(CourseError, match=r"pets can't be read \(permission denied\)"):
        load(pets)
    pets.chmod(0o755)


def test_parts_may_be_written_in_capitals_and_nothing_may_stand_beside_them(tmp_path):
    root = tmp_path / "pets"
    for part in ("Train", "Testing"):
        for i in range(8):
            picture(root / part / "cat" / f"{i}.png")
            picture(root / part / "dog" / f"{i}.png", colour=(30, 30, 200))
    items = load(root)
    assert items.classes == ("cat", "dog") and len(items.test) == 8 * 2
    vehicles = tmp_path / "vehicles"
    for i in range(8):
        picture(vehicles / "bus" / f"{i}.png")
        picture(vehicles / "train" / f"{i}.png", colour=(30, 30, 200))
    assert load(vehicles).classes == ("bus", "train")
    for extra in ("extra", "test"):
        picture(root / extra / "cat" / "0.png")
        with pytest.raises(CourseError, match=f"pets has .*{extra}.*Next to a train folder"):
            load(root)
        (root / extra / "cat" / "0.png").unlink()
        (root / extra / "cat").rmdir()
        (root / extra).rmdir()


def test_a_wrong_option_is_no_fault_of_the_pictures(pets):
    with pytest.raises(CourseError, match="'whit' is not a colour"):
        load(pets, background="whit")
    with pytest.raises(CourseError, match="1 or more; found -5"):
        load(pets, image_size=-5)
    for name in ("digits", "reuters-r8"):
        with pytest.raises(CourseError, match=f"{name} is kept as it came"):
            load(name, image_size=64)


def test_pictures_of_no_class_in_a_part_are_named_and_a_folder_too_far_out_is_noticed(pets, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "set" / "train").mkdir(parents=True, exist_ok=True)
        (pets / name).rename(tmp_path / "set" / "train" / name)
    picture(tmp_path / "set" / "test" / "1.png")  # as competitions hand them out
    with pytest.raises(CourseError, match=r"test contains 1 picture outside any class folder, such as 1\.png"):
        load(tmp_path / "set")
    (tmp_path / "outer").mkdir()
    (tmp_path / "set" / "train").rename(tmp_path / "outer" / "pets")
    with pytest.raises(
        CourseError, match=r"only one class, 'pets'.*itself contains folders \(cat, dog\): did you mean .*pets\?"
    ):
        load(tmp_path / "outer")


def test_pictures_loose_in_train_and_test_are_no_classes(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for i in range(4):
            Image.new("RGB", (9, 9), (9 * i, 0, 0)).save(tmp_path / part / f"{i}.png")
    with pytest.raises(CourseError, match="train and test need a folder per class in them"):
        load(tmp_path)
