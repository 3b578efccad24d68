"""A baseline that un-stacks itself."""

from __future__ import annotations

import dataclasses

from ppo.ppo import PPO, PPOSettings


@dataclasses.dataclass(frozen=True)
class TextSettings(PPOSettings):
    """PPO's, and one of its own."""

    extra_entropy: float = 0.01
    """added to ent_coef"""

    def structure(self):
        types = {own.name: own.type for own in dataclasses.fields(self)}
        shared = [name for name, type_ in types.items() if type_ is not float or name.endswith("adam_eps")]
        return tuple((name, getattr(self, name)) for name in shared)


class Text(PPO):
    """Wrong: annotations are compared with ``float``, and postponed ones are text, so a stack takes one value for
    all."""

    Settings = TextSettings
