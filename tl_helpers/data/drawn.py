"""Characters drawn on the spot in many fonts and distortions: a source to pretrain on, as large as you like.

The fonts are those that come with matplotlib (DejaVu, STIX, Computer Modern: free licences), so nothing is downloaded.
"""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.splits import make_split
from tl_helpers.errors import CourseError

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"  # small ones that are not mere copies (EMNIST's balanced classes)
FONTS = (
    *(f"DejaVu{face}" for face in ("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique")),
    *(f"DejaVuSansMono{face}" for face in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{face}" for face in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{face}" for face in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmti10", "cmtt10", "cmmi10"),
)
_split = partial(make_split, test=0.15, val=0.15)
SHEET = 32  # pixels per side to draw a character on; the ink of each block is then averaged, as for UCI's digits


def drawn_characters(
    n: int,
    seed: int = 0,
    *,
    characters: str = DIGITS + LETTERS,
    size: int = 16,
    distortion: float = 1.0,
    name: str = "drawn-characters",
) -> ImageSet:
    """`n` characters, white on black, each in a random font, slanted, turned, stretched, bent, thinned or thickened.

    The set depends on (n, seed, characters, size, distortion) only, and has a split if it has ten pictures per class or
    more. Classes take turns, so their counts differ by at most one. Each picture is drawn on 32x32 pixels, and the ink of
    each block is averaged: with 4x4 blocks, `size=8`, that is how UCI's handwritten digits were made (Kaynak 1995). Fonts
    are the groups: validation and test show fonts that training never saw, though of families that it did.

    Args:
        size: pixels per side, 8, 16 or 32. distortion: 0 for fonts as they are, 1 for about as much as handwriting has.

    Returns:
        ImageSet of role "all": uint8 (n, 1, size, size), one class per character, groups = number of the font.

    Raises:
        CourseError: no pictures, a size or distortion that is not offered, a character given twice or missing from a font.
    """
    _check(n, seed, characters, size, distortion)
    draw = torch.Generator().manual_seed(int(seed))  # torch takes no NumPy integer
    labels = torch.arange(n) % len(characters)
    labels = labels[torch.randperm(n, generator=draw)]
    fonts = torch.randint(len(FONTS), (n,), generator=draw)
    images = []
    for rows in torch.arange(n).split(1024):
        glyphs = [_glyph(FONTS[f], characters[c]) for f, c in zip(fonts[rows], labels[rows], strict=True)]
        images.append(_distorted(torch.stack(glyphs), size, distortion, draw))
    return ImageSet(
        name=name,
        images=torch.cat(images),
        labels=labels,
        classes=tuple(characters),
        names=tuple(f"{characters[c]} in {FONTS[f]}" for c, f in zip(labels.tolist(), fonts.tolist(), strict=True)),
        groups=fonts,
        licence="drawn here; fonts: Bitstream Vera/DejaVu licence, SIL OFL 1.1 (STIX), BaKoMa (Computer Modern)",
        attribution="drawn in the fonts DejaVu, STIX and Computer Modern, as matplotlib carries them",
        split=_split(labels, fonts, seed=seed) if n >= 10 * len(characters) else None,
    )


def load_drawn(name: str, split_seed: int = 0) -> ImageSet:
    """4,000 "drawn-digits" (ten classes, as handwritten ones have) or "drawn-characters" (47), 16x16; the same for every
    `split_seed`, which only changes how the fonts are split."""
    drawn = drawn_characters(4000, characters=DIGITS if name == "drawn-digits" else DIGITS + LETTERS, name=name)
    return replace(drawn, split=_split(drawn.labels, drawn.groups, seed=split_seed))


@cache
def _glyph(font: str, character: str) -> Tensor:
    """float32 (1, SHEET, SHEET) in 0..1: the character in the middle, its longer side filling nine tenths."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    typeface = ImageFont.truetype(path, 4 * SHEET, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = typeface.getbbox(character)
    if right <= left or bottom <= top:
        raise CourseError(f"{character!r} leaves no ink in {font}. Use letters, digits and punctuation or other signs.")
    missing = typeface.getmask("\uffff")  # what is drawn for a character that the font does not have
    if bytes(typeface.getmask(character)) == bytes(missing):
        raise CourseError(f"The font {font} has no {character!r}. All fonts have the characters of ASCII.")
    drawn = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(drawn).text((-left, -top), character, font=typeface, fill=255)
    scale = 0.9 * SHEET / max(drawn.size)
    drawn = drawn.resize([max(1, round(scale * length)) for length in drawn.size], Image.Resampling.BOX)
    sheet = Image.new("L", (SHEET, SHEET))
    sheet.paste(drawn, ((SHEET - drawn.width) // 2, (SHEET - drawn.height) // 2))
    return torch.from_numpy(np.array(sheet))[None] / 255


def _distorted(glyphs: Tensor, size: int, strength: float, draw: torch.Generator) -> Tensor:
    """Glyphs (b, 1, SHEET, SHEET) in 0..1 -> uint8 (b, 1, size, size), each moved, bent and inked in its own way."""
    b = len(glyphs)

    def spread(low: float, high: float) -> Tensor:
        return (torch.rand(b, generator=draw) * (high - low) + low) * strength

    # Maps a place on the new sheet to one on the old: a factor above 1 shrinks, and a slant to the right is negative.
    turn, slant = spread(-0.2, 0.2), spread(-0.35, 0.25)
    wide, high = spread(-0.15, 0.4).exp(), spread(-0.05, 0.15).exp()
    cos, sin = turn.cos(), turn.sin()
    rows = [cos * wide, (slant * cos - sin) * high, spread(-0.06, 0.06)]
    rows += [sin * wide, (slant * sin + cos) * high, spread(-0.06, 0.06)]
    where = F.affine_grid(torch.stack(rows, 1).view(b, 2, 3), list(glyphs.shape), align_corners=False)
    bends = 0.1 * strength * torch.randn(b, 2, 4, 4, generator=draw)
    bends = F.interpolate(bends, (SHEET, SHEET), mode="bicubic", align_corners=True)
    ink = F.grid_sample(glyphs, where + bends.permute(0, 2, 3, 1), align_corners=False)
    pen = spread(-1.0, 2.0).view(b, 1, 1, 1)  # every whole step above 0 adds two pixels to the font's own stroke
    for step in (0, 1):
        ink = F.max_pool2d(ink, 3, 1, 1).where(pen > step, ink)
    ink = (3 * ink - 1).clamp(0, 1)
    return (F.avg_pool2d(ink, SHEET // size) * 255).round().to(torch.uint8)


def _check(n: int, seed: int, characters: str, size: int, distortion: float) -> None:
    if n < 1 or seed < 0 or size not in (8, 16, 32) or not 0 <= distortion <= 2:
        raise CourseError(
            f"drawn_characters takes n ≥ 1, seed ≥ 0, a size of 8, 16 or 32 and distortion from 0 to 2; found n={n}, "
            f"seed={seed}, size={size}, distortion={distortion}. Other sizes: draw at 32 and use .resized(size)."
        )
    if len(characters) < 2 or len(set(characters)) < len(characters):
        raise CourseError(f"characters has to name at least two, each once; found {characters!r}.")
