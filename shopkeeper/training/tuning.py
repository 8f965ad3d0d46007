"""Looks for the best settings of a part, one trial after another, and can be cut off at any time.

Every trial is kept in a database as it ends, so a second call goes on; trials that are behind the
others half way are given up. Source: the tree-structured Parzen estimator of Bergstra et al.,
NeurIPS 2011, and median pruning, both of Optuna (Akiba et al., KDD 2019). Knows no part: settings
in, a number out.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shopkeeper.errors import BadConfig, Missing

FIXED = ("seed", "threads")
FIXED_ENDS = ("_max", "minutes")
"""Settings of machine, time and chance are no matter of taste."""
WIDER = 4.0
"""How far from the shop's own setting to look, as a factor."""

Steps = Callable[[Mapping[str, Any]], Iterator[float]]
"""Given settings, yields what they are worth, higher for better, the last one in full."""


@dataclass(frozen=True)
class Range:
    """Where to look for one setting, both ends included."""

    low: float
    high: float
    whole: bool = False
    """Whether only whole numbers do."""
    either: bool = False
    """Whether it is a yes or no."""
    logarithmic: bool = True


@dataclass(frozen=True)
class Trial:
    """One trial."""

    number: int
    settings: Mapping[str, Any]
    value: float | None
    """Higher is better; None for one that was given up or could not be."""


def ranges(config: Any) -> dict[str, Range]:
    """Return where to look around the settings of a part.

    Args:
        config: The part's `Config` as the shop has it.

    Returns:
        A range for each setting that is a number above 0, or a yes or no.
    """
    found = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in FIXED or field.name.endswith(FIXED_ENDS):
            continue
        if isinstance(value, bool):
            found[field.name] = Range(0, 1, either=True)
        elif isinstance(value, int) and value > 0:
            low, high = max(1, int(value / WIDER)), max(2, int(value * WIDER))
            found[field.name] = Range(low, high, whole=True)
        elif isinstance(value, float) and value > 0:
            if field.name.endswith("share"):
                found[field.name] = Range(min(0.05, value), 1.0, logarithmic=False)
            else:
                found[field.name] = Range(value / WIDER, value * WIDER)
    return found


@dataclass(frozen=True)
class Study:
    """Where trials are kept, and how many there shall be."""

    name: str
    """The same name goes on where it was."""
    storage: str
    """SQLAlchemy URL of the database."""
    trials: int
    """In all, those of earlier calls included."""
    minutes: float | None = None
    """No new trial begins after so many."""
    seed: int = 0
    """Same seed, same trials, unless the work was cut off."""


def search(
    steps: Steps, where: Mapping[str, Range], first: Mapping[str, Any], about: Study
) -> Sequence[Trial]:
    """Try settings until there are as many trials as wanted.

    Args:
        steps: Given settings, yields what they are worth, higher for better: first roughly and
            soon, at last in full. Settings that cannot be raise BadConfig.
        where: Where to look, by setting.
        first: Settings of the first trial, the shop's own.
        about: Where trials are kept, and how many there shall be.

    Returns:
        All trials that ended, in their order.

    Raises:
        Missing: Optuna is not installed.
        BadConfig: The database cannot be opened.
    """
    optuna = _optuna()
    try:
        study = optuna.create_study(
            storage=about.storage,
            study_name=about.name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        )
        ended = _ended(optuna, study)
    # SQLAlchemy and each driver have errors of their own for a database that is not there.
    except Exception as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise BadConfig(f"The database of trials cannot be opened: {said}.") from error
    study.sampler = optuna.samplers.TPESampler(seed=about.seed + len(ended))
    if not ended:
        study.enqueue_trial(dict(first))
    if (left := about.trials - len(ended)) > 0:
        seconds = None if about.minutes is None else about.minutes * 60
        study.optimize(_objective(optuna, steps, where), n_trials=left, timeout=seconds)
    whole = optuna.trial.TrialState.COMPLETE
    return [
        Trial(one.number, dict(one.params), one.value if one.state == whole else None)
        for one in _ended(optuna, study)
    ]


def _objective(optuna: Any, steps: Steps, where: Mapping[str, Range]) -> Callable[[Any], float]:
    def objective(trial: Any) -> float:
        given = {name: _asked(trial, name, one) for name, one in where.items()}
        value = float("nan")
        try:
            for step, value in enumerate(steps(given)):
                trial.report(value, step)
                if trial.should_prune():
                    raise optuna.TrialPruned
        except BadConfig as error:
            raise optuna.TrialPruned from error
        return value

    return objective


def _ended(optuna: Any, study: Any) -> list[Any]:
    state = optuna.trial.TrialState
    return list(study.get_trials(deepcopy=False, states=(state.COMPLETE, state.PRUNED)))


def _asked(trial: Any, name: str, where: Range) -> Any:
    if where.either:
        return trial.suggest_categorical(name, [False, True])
    if where.whole:
        return trial.suggest_int(name, int(where.low), int(where.high), log=where.logarithmic)
    return trial.suggest_float(name, where.low, where.high, log=where.logarithmic)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise Missing(
            "Tuning needs 'optuna', which is not installed. "
            "Install it with `pip install 'shopkeeper[train]'`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
