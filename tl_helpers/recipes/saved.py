"""A finished model as one file: what `transfer` writes and `predict` reads."""

from pathlib import Path

from tokenizers import Tokenizer

from ..engine import checkpoint as files
from ..errors import CourseError
from ..models import Classifier, build
from ..models.text_encoders import TextEncoder
from .sets import tokenizer_of

MODEL = "model.safetensors"  # the file's name in the folder of its training


def save_model(result, path: Path) -> None:
    """Write the model of a `transfer.Result` as one file, all that `load_model` needs, with a record of its training."""
    model = result.model
    state = {"spec": model.spec, "classes": list(result.classes), "size": model.trained_size, "ended": result.ended}
    state |= {"recipe": result.recipe, "val": result.val, "history": result.history, "made": result.made}
    state |= {"source": model.backbone.source, "licence": model.backbone.licence}
    if isinstance(model.backbone, TextEncoder):
        state["tokenizer"] = tokenizer_of(model.backbone).to_str()
    files.save(path, model.state_dict(), state)
    result.checkpoint = path


def load_model(path: Path | str) -> tuple[Classifier, dict]:
    """A checkpoint's model, ready to predict, and its state: `classes`, `size`, `recipe`, `val`, `history`, `made`, `ended`.

    `path` may be the folder of the training. Raises CourseError if the file is not such a checkpoint.
    """
    path = Path(path).expanduser()
    path = path / MODEL if path.is_dir() else path
    tensors, state = files.load(path)
    if "spec" not in state:
        raise CourseError(f"{path} has a training in progress; the model is model.safetensors in the same folder.")
    model = build(state["spec"])
    model.load_state_dict(tensors)
    model.trained_size, model.class_names = state["size"], tuple(state["classes"])
    model.backbone.source, model.backbone.licence = state.get("source", "a checkpoint"), state.get("licence", "")
    if "tokenizer" in state:
        model.backbone.tokenizer = Tokenizer.from_str(state.pop("tokenizer"))
    return model.eval(), state
