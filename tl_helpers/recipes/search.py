"""Searching for settings, judged by validation: every combination, halving, and pruning during training.

No search looks at a test set: `search` takes a whole set and reads only its train and val parts; `search_features` refuses
a set that still contains a test part.
"""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (scikit-learn asks for it)
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, ParameterGrid, ParameterSampler
from sklearn.model_selection import StratifiedGroupKFold as Folds
from threadpoolctl import threadpool_limits
from torch import Tensor

from ..data import ImageSet
from ..engine.checkpoint import as_json, as_stored
from ..errors import CourseError, DivergedError
from ..models import Classifier
from ..sources import write_atomically
from .sets import check_set
from .transfer import transfer

Space = Mapping[str, Sequence[Any]]
# Hyperband sorts trials into brackets by the study's name, so `search` gives every study the same one.
PRUNERS = {
    "none": lambda epochs: optuna.pruners.NopPruner(),
    "asha": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(1, max_resource=epochs, reduction_factor=2),
}


@dataclass
class Trial:
    """One combination: its validation score (`curve`) after spending each amount in `at` (epochs, or rows learnt from)."""

    settings: dict
    at: list[int] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)
    pruned: bool = False
    diverged: bool = False
    seconds: float | None = None  # None while it runs


@dataclass
class Search:
    """What a search found. `unit`: what is spent. `model`: the winner of a search on features, refitted on all rows."""

    unit: str
    trials: list[Trial] = field(default_factory=list)
    model: Any = None

    @property
    def best(self) -> Trial | None:
        """The best of the trials that ran to the end, the first of equals; None while there is none."""
        whole = [trial for trial in self.trials if trial.seconds is not None and not (trial.pruned or trial.diverged)]
        return max(whole, key=lambda trial: trial.curve[-1], default=None)

    @property
    def spent(self) -> int:
        """Epochs trained, or rows learnt from, in all trials together: a cost that other processes can't affect."""
        return sum(trial.at[-1] if self.unit == "epochs" else sum(trial.at) for trial in self.trials if trial.at)

    @property
    def seconds(self) -> float:
        """What all trials took together."""
        return sum(trial.seconds or 0.0 for trial in self.trials)


def search_features(
    model,
    rows: Tensor,
    images: ImageSet,
    space: Space,
    *,
    method: str = "grid",
    factor: int = 3,
    folds: int = 3,
    seed: int = 0,
) -> Search:
    """Search a scikit-learn model's settings on kept features by cross-validation within one set.

    grid: every combination of `space` on every row. halving: all combinations on a few rows, the best 1 / `factor` of
    them on `factor` times as many, and so on (Jamieson and Talwalkar, 2016; scikit-learn's HalvingGridSearchCV). The last
    round may use far fewer than all rows; look at the winner's `at`.

    Args:
        model: an estimator or a pipeline; the keys of `space` are its parameters.
        rows: float32 (n, width), the features of `images`, whose labels and groups are used; no group is split.

    Raises:
        CourseError: a set that is, or contains, the test set; rows that don't belong to the set; an unknown method.
    """
    check_set(images)
    if images.role in ("test", "all"):
        raise CourseError(
            f"A search chooses, so it can't see {images.name}'s {images.role!r} part: give it .train, or train and val "
            f"joined: data.subset([*data.split.train, *data.split.val], role='train')."
        )
    if len(rows) != len(images) or method not in ("grid", "halving"):
        raise CourseError(
            f"Found {len(rows)} rows for {len(images)} images and method {method!r}; expected one each, and grid or halving."
        )
    halving = {"factor": factor, "random_state": seed} if method == "halving" else {}
    kind = HalvingGridSearchCV if halving else GridSearchCV
    fewest = int(images.labels.bincount().max())
    if fewest < folds:
        raise CourseError(f"The largest class has {fewest} items, too few for {folds} folds: take more items.")
    searcher = kind(model, dict(space), cv=Folds(folds, shuffle=True, random_state=seed), **halving)
    groups = range(len(rows)) if images.groups is None else images.groups.numpy()
    with threadpool_limits(1):  # small matrices: threads would only wait for each other
        searcher.fit(rows.numpy(), images.labels.numpy(), groups=groups)
    table, trials = searcher.cv_results_, {}  # a row per combination and round
    for k, settings in enumerate(table["params"]):
        # the last round's order, by which scikit-learn breaks ties
        trial = trials[str(settings)] = trials.pop(str(settings), Trial(settings, seconds=0.0))
        trial.at.append(int(table["n_resources"][k]) if halving else len(rows))
        trial.curve.append(float(table["mean_test_score"][k]))
        trial.seconds += folds * float(table["mean_fit_time"][k] + table["mean_score_time"][k])
    for trial in trials.values():
        trial.pruned = trial.at[-1] < max(other.at[-1] for other in trials.values())
        # settings that can't be fitted are scored NaN by scikit-learn
        trial.diverged = not all(map(math.isfinite, trial.curve))
    return Search("rows", list(trials.values()), searcher.best_estimator_)


def search(
    model: Classifier,
    data: ImageSet,
    space: Space,
    *,
    trials: int = 12,
    epochs: int = 4,
    recipe: str = "lp-ft",
    pruner: str = "asha",
    seed: int = 0,
    folder: Path | str | None = None,
    watch: Callable[[Search], Any] = lambda found: None,
    **fixed: Any,
) -> Search:
    """Try combinations of `space` with `transfer` on `data.train`, judged on `data.val`; `model` itself stays as it is.

    Combinations are drawn from the grid with `seed`, none twice; if there are at most `trials`, all are tried. One is
    pruned if it is not in the better half of those that got as far (asha: Li et al., 2020; hyperband: Li et al., 2018,
    spares some the early cuts; none: all run to the end). The score is validation accuracy, the loss breaks ties; a trial
    whose loss becomes infinite ends there with 0.

    Args:
        space: the values to try for keywords of `transfer` (lr, weight_decay, augment, rate_decay …).
        folder: finished trials are kept in it; after an interruption the same call continues, to the same result.
            (Transforms in `space` are told apart by their repr.)
        watch: called with the search after each epoch that another follows, and after each trial. fixed: further keywords of `transfer`.

    Raises:
        CourseError: a test set, a recipe without epochs, an unknown pruner, a folder that another search wrote to.
    """
    _check(data, recipe, pruner, trials)
    folder = Path(folder).expanduser() if folder else None
    plan = list(ParameterSampler(dict(space), min(trials, len(ParameterGrid(dict(space)))), random_state=seed))
    made = [data.fingerprint, data.split.hash, model.backbone.fingerprint, model.spec, recipe, epochs, pruner, seed]
    head = {} if recipe == "lp-ft" else {name: part.tolist() for name, part in model.head.state_dict().items()}
    made.append(hashlib.sha256(repr((data.weights is not None and data.weights.tolist(), head)).encode()).hexdigest())
    # as JSON can store them: a transform becomes its string
    plain = [{k: v if isinstance(v, int | float | str | None) else str(v) for k, v in one.items()} for one in plan]
    made += [plain, *(f"{key}: {value}" for key, value in sorted(fixed.items()) if key != "hardware")]
    kept, found = _kept(folder, made), Search("epochs")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", pruner=PRUNERS[pruner](epochs), study_name="search")
    for number, settings in enumerate(plan):
        trial, asked = Trial(settings), study.ask()
        found.trials.append(trial)
        judge = partial(_judge, trial, asked, epochs, partial(watch, found))
        options = {"epochs": epochs, "seed": seed, **fixed, **settings, "each_epoch": judge}
        known = kept[number] if number < len(kept) else None
        _try(trial, judge, known, partial(_train, model, data, recipe, options))
        study.tell(asked, trial.curve[-1])
        if folder and not known:
            kept.append({"curve": trial.curve, "seconds": trial.seconds, "diverged": trial.diverged})
            write_atomically(folder / "search.json", as_json({"made": made, "trials": kept}, indent=1) + "\n")
        watch(found)  # whoever stops the search now has seen what is kept
    if not found.best:
        wild = f"in {sum(trial.diverged for trial in found.trials)} of {len(plan)} the loss became infinite"
        raise DivergedError(f"No trial ran to the end: {wild}, the others were pruned. Add smaller rates to the space.")
    return found


def _try(trial: Trial, judge: Callable[[dict], None], known: dict | None, train: Callable[[], None]) -> None:
    """Train, or replay the scores kept of the trial; the pruner, or a loss that becomes infinite, may end it."""
    start = time.perf_counter()
    try:
        if known:
            for score in known["curve"]:
                judge({"score": score})
        else:
            train()
    except optuna.TrialPruned:
        trial.pruned = True
    except DivergedError:  # as bad as can be, and no reason to give up the others
        trial.diverged = True
        with suppress(optuna.TrialPruned):
            judge({"score": 0.0})
    trial.diverged |= bool(known and known.get("diverged"))
    trial.pruned &= not trial.diverged
    trial.seconds = known["seconds"] if known else time.perf_counter() - start


def _train(model: Classifier, data: ImageSet, recipe: str, options: dict) -> None:
    if transfer(copy.deepcopy(model), data, recipe, **options).ended == "interrupted":
        raise KeyboardInterrupt


def _judge(trial: Trial, asked: optuna.Trial, epochs: int, seen: Callable[[], Any], row: dict) -> None:
    """Record a trial's score after one more epoch, and end the trial if the pruner says so."""
    score = row["score"] if "score" in row else row["val_accuracy"] - 1e-9 * row["val_loss"]
    trial.at.append(len(trial.at) + 1)
    trial.curve.append(score)
    asked.report(score, len(trial.at))
    if len(trial.at) < epochs:  # after its last epoch it is seen as it ended
        if asked.should_prune():
            raise optuna.TrialPruned
        seen()


def _check(data: ImageSet, recipe: str, pruner: str, trials: int) -> None:
    check_set(data)
    if trials < 1:
        raise CourseError(f"A search needs at least one trial; found trials={trials}.")
    if data.role != "all" or recipe == "probe" or pruner not in PRUNERS:
        raise CourseError(
            f"A search takes a whole set (it sees only .train and .val), a recipe with epochs, and one of the pruners "
            f"{', '.join(PRUNERS)}; found a set of role {data.role!r}, {recipe!r} and {pruner!r}."
        )


def _kept(folder: Path | None, made: list) -> list[dict]:
    """The finished trials of a search that was interrupted; the folder is made if there is none."""
    if folder is None:
        return []
    path = folder / "search.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"made": made, "trials": []}
    except OSError as error:
        raise CourseError(f"{folder} can't be used ({error.strerror}): choose another folder.") from error
    except ValueError as error:
        raise CourseError(f"{path} is damaged ({error}): delete it, and the search starts over.") from error
    if found["made"] != as_stored(made):
        raise CourseError(f"{path} belongs to another search (other data, settings or seed): use another folder.")
    return found["trials"]
