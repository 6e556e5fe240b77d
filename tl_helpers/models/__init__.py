"""Networks: backbones from one table, heads, what is frozen, and how fast the rest learns."""

from .backbones import Backbone, load_backbone
from .freezing import freeze, freeze_batch_norm, has_counted, train_mode, trainable_table, unfreeze, unfreeze_from
from .heads import Classifier, attach_head, build
from .language_model import LanguageModel, language_model, perplexity
from .layers import parameter_groups, summary_row
from .table import TABLE, Preprocess
from .text_encoders import load_text_encoder, text_encoder
