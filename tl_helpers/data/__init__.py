"""Labelled pictures and texts: loaded, split, augmented and handed out in batches."""

from tl_helpers.data.batches import Batches
from tl_helpers.data.drawn import DIGITS, LETTERS, drawn_characters
from tl_helpers.data.emoji import emoji_files
from tl_helpers.data.export import as_folders
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import StreamedImages, decode, fit_square
from tl_helpers.data.load import OFFLINE, ONLINE, load
from tl_helpers.data.mixing import MIXES, Mixed, augmentation_parts, cutmix, mixed, mixup, training_batches
from tl_helpers.data.splits import Split, make_split
from tl_helpers.data.text import TEXTS, TextSet, is_text, load_text, near_duplicates
from tl_helpers.data.tokens import TextBatches, encode, minilm_tokenizer, padded, word_tokenizer
from tl_helpers.data.transforms import AUGMENTATIONS, VIEWS, augmentation, views
