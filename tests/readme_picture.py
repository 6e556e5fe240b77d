"""Make the README's picture, `notebooks/images/one_picture_each.png`: python tests/readme_picture.py

Each of Twitter's emoji is matched with the nearest of Google's, by the features of EfficientNet-Lite0; nothing is trained.
Notebook 01 explains it.
"""

from pathlib import Path

import matplotlib
import torch

import tl_helpers as tl

PICTURE = Path(__file__).resolve().parents[1] / "notebooks" / "images" / "one_picture_each.png"
NAMES = ["badger", "hamburger", "volcano", "onion", "ball of yarn", "horse", "full moon symbol", "closed book"]


def main() -> None:
    """Draw the picture; print how many are found by the network and by bare pixels, and the picture's size."""
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    from tl_helpers.lessons.plots.canvas import png

    google, twitter = tl.data.load("emoji-google"), tl.data.load("emoji-twitter")
    backbone = tl.load_backbone("efficientnet_lite0")
    nearest = match(*(tl.features(backbone, drawn, size=128) for drawn in (google, twitter)))
    pixels = match(*(drawn.resized(16).flatten(start_dim=1) / 255 for drawn in (google, twitter)))
    for name, answers in (("network", nearest), ("pixels", pixels)):
        print(f"{name}: {int((answers == torch.arange(len(google))).sum())} of {len(google)} right")
    tl.plots.neighbours(twitter, google, nearest, show="all", names=NAMES)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(png(plt.gcf()))
    print(f"{PICTURE.name}: {PICTURE.stat().st_size:,} bytes")


def match(known, new):
    """For each row of `new` the index of its nearest in `known`, by cosine of standardised features."""
    return (standardised(new) @ standardised(known).T).argmax(dim=1)


def standardised(features):
    """Each feature with mean 0 and standard deviation 1 over an artist's drawings, then each row of length 1."""
    features = (features - features.mean(dim=0)) / features.std(dim=0).clamp(min=1e-6)
    return features / features.norm(dim=1, keepdim=True)


if __name__ == "__main__":
    main()
