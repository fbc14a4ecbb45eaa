"""The same network, task, chips and rule in several forms: a comparison becomes a study of cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from root.errors import InputError
from spiketrain.studies.parts import ComparePart
from spiketrain.studies.study import Study

__all__ = ["expanded"]

BASE, ALSO = "base", "also"
"""Keys of a task or a rule that are no changes of a config."""


class Case(NamedTuple):
    """One combination; its fields are the columns of the table."""

    rule: str
    form: str
    task: str
    kind: str
    sigma: float
    seed: int | None


def expanded(study: Study) -> Study:
    """Return the study whose cells are the comparison: sigma × tasks × rules × forms × kinds of mismatch.

    Forms share the chips' numbers and seeds; without deviations there is one cell for all kinds. Sigma
    varies slowest, in the order given, so that a study that is cut short has whole levels of it.

    Args:
        study: has a section ``compare`` and no lists of its own.

    Raises:
        InputError: there is no such section, or forms do not know the same kinds.
    """
    part = study.compare
    if part is None:
        raise InputError("compare", "nothing", "a section with forms, rules and sigma")
    if study.lists:
        raise InputError("list", sorted(study.lists), "none beside compare, which makes its own")
    kinds = list(next(iter(part.forms.values())).kinds)
    for name, form in part.forms.items():
        if list(form.kinds) != kinds:
            raise InputError(
                f"compare.forms.{name}.kinds", list(form.kinds), f"{kinds}, as the first form has"
            )
    cases = [
        case
        for sigma in part.sigma
        for task in part.tasks or {"": {}}
        for rule in part.rules
        for form, seeds in _seeds(part)
        for kind in kinds
        for seed in seeds
        if (case := _entry(part, study, Case(rule, form, task, kind, sigma, seed))) is not None
    ]
    plain = study.resolved() | {"list": {"case": cases}, "compare": None, "set": {}}
    plain["analysis"] = plain["analysis"] or {"x": "sigma", "compare": "form", "panels": "kind"}
    return Study.from_mapping(plain)


def _seeds(part: ComparePart) -> list[tuple[str, Sequence[int | None]]]:
    return [(name, [None] if form.seeds is None else range(form.seeds)) for name, form in part.forms.items()]


def _entry(part: ComparePart, study: Study, case: Case) -> dict[str, Any] | None:
    """Return a case as an entry of a list; None where a task or a rule leaves it out."""
    form = part.forms[case.form]
    task, rule = (
        _said(part, key, label, case) for key, label in (("tasks", case.task), ("rules", case.rule))
    )
    if task is None or rule is None:
        return None
    said = {BASE: form.base, ALSO: [], **form.changes, **task, **rule}
    base, also = said.pop(BASE), said.pop(ALSO)
    if not isinstance(base, dict):
        allowed = "a config to start from; here, in the task, or in the rule"
        raise InputError(f"compare.forms.{case.form}.base", "nothing", allowed)
    deviations = {
        f"mismatch.{parameter}": {"distribution": part.distribution, "cv": case.sigma}
        for parameter in (*form.kinds[case.kind], *also)
        if case.sigma > 0
    }
    columns = {name: value for name, value in case._asdict().items() if value not in ("", None)}
    seed = {} if case.seed is None else {"training.seed": case.seed}
    return {
        "label": columns,
        BASE: _without_deviations(base, part.chips),
        **said,
        **seed,
        **study.changes,
        **deviations,
    }


def _without_deviations(base: Mapping[str, Any], chips: int) -> dict[str, Any]:
    kept = {k: v for k, v in base.get("mismatch", {}).items() if k in ("seed", "first_chip", "shadow")}
    return {**base, "mismatch": {**kept, "chips": chips}}


def _said(part: ComparePart, section: str, label: str, case: Case) -> dict[str, Any] | None:
    """Return what a task or a rule changes in a case."""
    entries: Mapping[str, Mapping[str, Any]] = getattr(part, section)
    key = f"compare.{section}.{label}"
    return _holding(entries.get(label, {}), (case.form, case.task), {*part.forms, *part.tasks}, key)


def _holding(
    changes: Mapping[str, Any], chosen: Collection[str], names: Collection[str], key: str
) -> dict[str, Any] | None:
    """Return the changes for all cases, then those under the names of the chosen form and task."""
    held = {k: v for k, v in changes.items() if k not in names}
    for name in (name for name in chosen if name in changes):
        inside = changes[name]
        if inside is None:
            return None
        if not isinstance(inside, dict):
            raise InputError(f"{key}.{name}", inside, "dotted keys and values, or null to leave it out")
        further = _holding(inside, chosen, names, f"{key}.{name}")
        if further is None:
            return None
        held |= further
    return held
