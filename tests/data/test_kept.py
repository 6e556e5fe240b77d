"""Decoded pictures on disk: made once, made anew when the file is broken or the source is another."""

import dataclasses

import torch

from tl_helpers import sources
from tl_helpers.data.kept import kept


def test_made_once_and_anew_when_broken_or_another(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "cache_dir", lambda: tmp_path)
    calls = []

    def compute():
        calls.append(1)
        return {"pixels": torch.arange(1000)}

    for _ in range(3):
        assert torch.equal(kept("toy", ("elpv",), compute)["pixels"], torch.arange(1000))
    assert len(calls) == 1
    (file,) = (tmp_path / "images").iterdir()
    file.write_bytes(file.read_bytes()[:500])
    assert torch.equal(kept("toy", ("elpv",), compute)["pixels"], torch.arange(1000)) and len(calls) == 2
    other = dataclasses.replace(sources.source("elpv"), sha256="0" * 64)
    monkeypatch.setattr(sources, "source", lambda name: other)
    kept("toy", ("elpv",), compute)
    assert len(calls) == 3 and len(list((tmp_path / "images").iterdir())) == 2


def test_where_nothing_can_be_kept_it_is_computed(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cache").write_text("a file where the folder should be")
    row = sources.source("elpv")
    monkeypatch.setattr(sources, "source", lambda name: row)
    monkeypatch.setenv("TL_ROOT", str(tmp_path))
    assert torch.equal(kept("toy", ("elpv",), lambda: {"pixels": torch.arange(9)})["pixels"], torch.arange(9))
