"""What a config says about the place of its chips, and whether it goes together."""

from __future__ import annotations

from chips.wire.links import Address
from root.errors import InputError, UnsupportedError
from spiketrain.config.design import Design
from spiketrain.config.effects import refuse

__all__ = ["check_places"]


def check_places(experiment: Design) -> None:
    """Raise `InputError` for what cannot be or does nothing where the chips are."""
    part = experiment.chips
    if part.isolated and part.at is not None:
        raise InputError("chips.isolated", True, "false beside chips.at: they are in another process already")
    if part.at is not None and not part.addresses:
        raise InputError("chips.at", [], "one address or more")
    places = [Address.parse(text) for text in part.addresses]
    if len({place.text for place in places}) < len(places):
        raise InputError("chips.at", list(part.addresses), "every address once")
    if part.key is not None and all(place.path for place in places):
        refuse("chips.key", part.key, None, "no server on TCP asks for it")
    if part.key is None and any(not place.path for place in places):
        raise InputError(
            "chips.key", None, "the file with the server's key: nothing is answered on TCP without"
        )
    if part.secret is not None and not part.isolated:
        refuse("chips.secret", part.secret, None, "no process of the chips' own reads it (chips.isolated)")
    if not part.reveal and not part.isolated:
        refuse("chips.reveal", False, True, "the chips are not isolated")
    for name in ("timeout_s", "patience_s"):
        given, default = getattr(part, name), type(part).model_fields[name].default
        if given != default and (part.at is None and (name == "patience_s" or not part.isolated)):
            refuse(f"chips.{name}", given, default, "there is no server that could be lost (chips.at)")
    _check_seed(experiment)
    _check_requests(experiment)


def _check_seed(experiment: Design) -> None:
    part, seed = experiment.chips, experiment.mismatch.seed
    if seed is None and not part.elsewhere:
        fix = "Chips that are simulated here are drawn from it (chips.isolated has them drawn elsewhere)."
        raise InputError("mismatch.seed", None, "a whole number", fix)
    if seed is not None and part.elsewhere:
        place = "chips.secret names a file that says it" if part.isolated else "it is in the server's config"
        allowed = "null: the process that has the chips alone knows it"
        raise InputError("mismatch.seed", seed, allowed, f"mismatch.seed=null; {place}.")


def _check_requests(experiment: Design) -> None:
    rule, allowed = experiment.build_rule(), experiment.observed
    if more := sorted(rule.requests - allowed):
        given = list(experiment.chips.observe or ())
        raise UnsupportedError(
            "chips.observe", given, f"{', '.join(more)} too: the rule {rule.name} learns from them"
        )
