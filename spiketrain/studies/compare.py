"""The same network, task, chips and rule in several forms: a comparison becomes a study of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rate_bridge.errors import InputError
from spiketrain.studies.parts import ComparePart, Form
from spiketrain.studies.study import Study

__all__ = ["expanded"]

COLUMNS = ("rule", "form", "kind", "sigma")


def expanded(study: Study) -> Study:
    """Return the study whose cells are the comparison: rules × forms × kinds of mismatch × sigma.

    Forms share the task, the chips' numbers and seeds; without deviations there is one cell for all kinds.

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
        _case(part, study, (rule, name, kind, sigma))
        for rule in part.rules
        for name in part.forms
        if part.rules[rule].get(name, ()) is not None
        for kind in kinds
        for sigma in part.sigma
    ]
    analysis = study.analysis or {"x": "sigma", "compare": "form", "panels": "kind"}
    plain = study.resolved() | {"list": {"case": cases}, "analysis": analysis, "set": {}}
    if study.analysis is not None:
        plain["analysis"] = study.resolved()["analysis"]
    return Study.from_mapping(plain)


def _case(part: ComparePart, study: Study, label: tuple[str, str, str, float]) -> dict[str, Any]:
    rule, name, kind, sigma = label
    form = part.forms[name]
    deviations = {
        f"mismatch.{parameter}": {"distribution": part.distribution, "cv": sigma}
        for parameter in form.kinds[kind]
        if sigma > 0
    }
    return {
        "label": dict(zip(COLUMNS, label, strict=True)),
        "base": _without_deviations(form, part.chips),
        **form.changes,
        **_for_form(part.rules[rule], part.forms, name),
        **study.changes,
        **deviations,
    }


def _without_deviations(form: Form, chips: int) -> dict[str, Any]:
    base = dict(form.base) if isinstance(form.base, dict) else {}
    kept = {k: v for k, v in base.get("mismatch", {}).items() if k in ("seed", "first_chip", "shadow")}
    return {**base, "mismatch": {**kept, "chips": chips}}


def _for_form(rule: Mapping[str, Any], forms: Mapping[str, Form], name: str) -> dict[str, Any]:
    """Return a rule's changes: those for all forms, then those for this one."""
    shared = {key: value for key, value in rule.items() if key not in forms}
    own = rule.get(name, {})
    if not isinstance(own, dict):
        raise InputError(f"compare.rules.{name}", own, "dotted keys and values")
    return {**shared, **own}
