"""Transfer learning on real data: the package behind the course. torch is loaded only when it is first needed."""

import importlib
import os

# On two cores, two torch processes of two threads each spin against each other; passive waiting gives the same bits.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_PUBLIC = {
    "CourseError": "errors",
    "attach_head": "models.heads",
    "check": "lessons.checks",
    "evaluate": "recipes.evaluate",
    "features": "recipes.features",
    "fit": "engine.fit",
    "lesson": "lessons.lesson",
    "lr_find": "engine.lr_find",
    "load_backbone": "models.backbones",
    "load_text_encoder": "models.text_encoders",
    "measured": "lessons.lesson",
    "pick_budget": "budget",
    "pick_device": "device",
    "probe": "recipes.probe",
    "search": "recipes.search",
    "search_features": "recipes.search",
    "seed_everything": "device",
    "test_model": "engine.seed_listing",
    "text_encoder": "models.text_encoders",
    "train_model": "engine.seed_listing",
    "transfer": "recipes.transfer",
}
_MODULES = {
    "data": "data",
    "fusion": "recipes.fusion",
    "heads": "models.heads",
    "models": "models",
    "plots": "lessons.plots",
    "sources": "sources",
}

__all__ = sorted([*_PUBLIC, *_MODULES])


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"tl_helpers.{_MODULES[name]}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"tl_helpers.{_PUBLIC[name]}"), name)
    raise AttributeError(f"tl_helpers has no {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
