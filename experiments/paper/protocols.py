"""The paper's experiments as data: which runs each table and figure needs."""

import dataclasses
import difflib
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from baselines import ALGORITHMS
from experiments import klip_ppo as klip
from experiments.paper.readings import BEST, DEFAULT, DESIGN, PENDULUMS, READINGS, Levels, settings_of
from experiments.paper.settings import (
    ATARI,
    ENVIRONMENTS,
    FIGURE3,
    MUJOCO,
    TABLE1,
    UNTRAINED,
    Profile,
)
from experiments.paper.sweeps import SWEEP_SEED, SWEEPS, SWEPT_ENVIRONMENTS
from ppo.algorithm import Settings
from ppo.envs.atari import ATARI_ROMS


@dataclass(frozen=True)
class Run:
    """One training: one algorithm with its settings, one environment, one seed, one budget."""

    environment: str
    algorithm: str
    setting: str
    """A short name of the settings, for people and plots."""
    seed: int
    total_timesteps: int
    settings: Settings

    @property
    def key(self) -> str:
        """The same for two runs exactly if they train the same thing under the same name."""
        about = [self.environment, self.algorithm, self.seed, self.total_timesteps, settings_to_json(self.settings)]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.environment}_{self.algorithm}_{self.setting}_{self.seed}_{digest}"

    def part(self, fraction: float) -> "Run":
        """A run as long as the first part of this one: to reckon with, not to train, for its schedules end sooner."""
        return replace(self, total_timesteps=math.ceil(fraction * self.total_timesteps))

    def to_json(self) -> dict[str, Any]:
        """As plain data, for manifests and stacks."""
        return {**dataclasses.asdict(self), "settings": settings_to_json(self.settings)}


@dataclass(frozen=True)
class Protocol:
    """One of the paper's tables or figures."""

    name: str
    about: str
    runs: tuple[Run, ...]
    first_updates: tuple[Run, ...] = ()
    """Runs that end with their first update, along which the surrogates are measured (Figure 2)."""


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Settings as strict JSON, which has no infinity: inf becomes "inf". What was added after runs were recorded is
    left out at its default, so that these keep their keys."""
    new = {own.name: own.default for own in dataclasses.fields(settings) if "added" in own.metadata}
    return {
        name: repr(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
        for name, value in dataclasses.asdict(settings).items()
        if name not in new or value != new[name]
    }


def settings_from_json(kind: type[Settings], data: dict[str, Any]) -> Settings:
    """The inverse of ``settings_to_json``. Raises ``ValueError`` for names that ``kind`` does not have."""
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(set(data) - known):
        raise ValueError(f"{kind.__name__} has no setting {unknown[0]!r}")
    values: dict[str, Any] = {name: float(value) if value in ("inf", "-inf") else value for name, value in data.items()}
    return kind(**values)


def table1(profile: Profile) -> Protocol:
    """Sec. 6.1: 11 surrogate objectives x 7 tasks x seeds, and the random policy that scores are measured from."""
    runs = [
        Run(environment, "ppo", setting, seed, profile.total_timesteps, settings)
        for environment in ENVIRONMENTS
        for setting, settings in TABLE1.items()
        for seed in profile.seeds
    ]
    return Protocol(
        "table1", "surrogate objectives (sec. 6.1, Table 1)", (*runs, *_untrained(profile, ENVIRONMENTS, profile.seeds))
    )


def figure1(profile: Profile) -> Protocol:
    """A drawing of equation 7: nothing to train."""
    return Protocol("figure1", "the clipped objective as a function of the ratio (a formula: no runs)", ())


def figure2(profile: Profile) -> Protocol:
    """Sec. 3: the surrogates between the first policy and the one after its first update, on Hopper."""
    about = "surrogates along the first policy update on Hopper (Figure 2)"
    return Protocol("figure2", about, (), _first_updates(FIGURE2_SEEDS))


FIGURE2_SEEDS = tuple(range(1, 11))
"""The paper shows one update of one run; ten of ours cost seconds and show how much they differ."""


def _first_updates(seeds: Iterable[int]) -> tuple[Run, ...]:
    return tuple(Run("Hopper-v4", "ppo", "clip-0.2", seed, MUJOCO.num_steps, MUJOCO) for seed in seeds)


def figure3(profile: Profile) -> Protocol:
    """Sec. 6.2: the comparison of algorithms on the seven tasks, and the random policy as in Table 1."""
    runs = [
        Run(environment, algorithm, _setting(algorithm), seed, profile.total_timesteps, settings)
        for environment in ENVIRONMENTS
        for algorithm, settings in COMPARED.items()
        for seed in profile.seeds
    ]
    return Protocol(
        "figure3",
        "comparison of algorithms (sec. 6.2, Figure 3)",
        (*runs, *_untrained(profile, ENVIRONMENTS, profile.seeds)),
    )


def kept(profile: Profile) -> list[Run]:
    """The runs of Figure 3 whose final policies are kept beside the results: of each algorithm and task one seed's."""
    return [run for run in figure3(profile).runs if run.seed == profile.seeds[0] and run.setting != "untrained"]


COMPARED: dict[str, Settings] = {
    name: FIGURE3.get(name, kind.Settings()) for name, kind in ALGORITHMS.items() if kind.continuous and kind.compared
}
"""The algorithms of Figure 3 with their settings; one that has none here has the defaults of its class."""


def _setting(algorithm: str) -> str:
    return "clip-0.2" if algorithm == "ppo" else "default"  # PPO's runs are those of Table 1


def _untrained(profile: Profile, environments: Iterable[str], seeds: Iterable[int]) -> list[Run]:
    """The random policy."""
    return [
        Run(environment, "ppo", "untrained", seed, profile.untrained_timesteps, UNTRAINED)
        for environment, seed in itertools.product(environments, seeds)
    ]


def atari(profile: Profile) -> Protocol:
    """Sec. 6.4: PPO and the two algorithms it is compared with, on the games of Tables 2 and 6 and of Figure 6."""
    runs = [
        Run(f"{game}NoFrameskip-v4", algorithm, "default", seed, profile.atari_timesteps, settings)
        for game in profile.games
        for algorithm, settings in ATARI.items()
        for seed in profile.seeds
    ]
    return Protocol("atari", "Atari games (sec. 6.4, Tables 2 and 6, Figure 6)", tuple(runs))


def precision(profile: Profile) -> Protocol:
    """PPO on Pong with its backward pass in bfloat16, beside the run of ``atari`` with that seed."""
    lower = replace(ATARI["ppo"], backward_dtype="bfloat16")
    runs = [
        Run("PongNoFrameskip-v4", "ppo", setting, profile.seeds[0], profile.atari_timesteps, settings)
        for setting, settings in (("default", ATARI["ppo"]), ("bfloat16", lower))
    ]
    return Protocol("precision", "PPO on Pong with gradients in float32 and in bfloat16", tuple(runs))


def usual_settings(environment: str, algorithm: str, reading: str = DEFAULT) -> Settings:
    """What an algorithm is trained with if nothing else is said: its defaults; on Atari games those of section 6.4.

    Raises ``ValueError`` for a ``reading`` that there is not, or that is not of this.
    """
    if reading != DEFAULT and (algorithm != "ppo" or environment in ATARI_ROMS):
        what = environment if algorithm == "ppo" else algorithm
        raise ValueError(f"the {reading} reading is one of PPO on MuJoCo (sections 6.1 and 6.2): {what} has none")
    if environment in ATARI_ROMS and algorithm in ATARI:
        return ATARI[algorithm]
    usual = ALGORITHMS[algorithm].Settings()
    return usual if reading == DEFAULT else replace(usual, **read(reading))


def read(reading: str) -> dict[str, Any]:
    """A named reading, as settings of PPO. Raises ``ValueError`` that names the nearest ones."""
    if reading not in READINGS:
        raise ValueError(unknown("reading", reading, READINGS))
    return READINGS[reading]


def in_reading(protocol: Protocol, reading: str) -> Protocol:
    """``protocol`` with the rows of Table 1 in another reading; what else it trains stays as it is.

    Raises ``ValueError`` for a protocol without such rows.
    """
    changes = read(reading)
    if reading == DEFAULT:
        return protocol

    def changed(run: Run) -> Run:
        row = run.setting in TABLE1 and run.settings == TABLE1[run.setting]
        return replace(run, settings=replace(run.settings, **changes)) if row else run

    runs, updates = tuple(map(changed, protocol.runs)), tuple(map(changed, protocol.first_updates))
    if (runs, updates) == (protocol.runs, protocol.first_updates):
        raise ValueError(f"the {reading} reading changes nothing in {protocol.name}, which trains no row of Table 1")
    return replace(protocol, runs=runs, first_updates=updates)


def readings(profile: Profile) -> Protocol:
    """The designed experiment over what the text leaves open: HalfCheetah clipped and not, where the row of -0.39 is
    made, InvertedPendulum, and Figure 2's update on Hopper."""
    runs = [
        run
        for point, levels in DESIGN.items()
        for environment, row in (
            ("HalfCheetah-v4", "clip-0.2"),
            ("HalfCheetah-v4", "none"),
            (PENDULUMS[levels["pendulum-force"]], "clip-0.2"),
        )
        for run in _read_runs(profile, environment, row, point, levels)
    ]
    return Protocol(
        "readings", "a designed experiment over what the text leaves open", tuple(runs), _updates(profile, DESIGN)
    )


def readings_best(profile: Profile) -> Protocol:
    """The readings that it chose, on all seven tasks; and "none" where the text says how that ends."""
    runs = [
        run
        for reading, levels in BEST.items()
        for environment, row in (*((name, "clip-0.2") for name in ENVIRONMENTS), ("HalfCheetah-v4", "none"))
        for run in _read_runs(
            profile,
            PENDULUMS[levels["pendulum-force"]] if environment == PENDULUMS["clamped"] else environment,
            row,
            reading,
            levels,
        )
    ]
    about = "the best readings on all seven tasks" + ("" if BEST else " (none is chosen yet: `ppo run readings` first)")
    return Protocol("readings-best", about, tuple(runs), _updates(profile, BEST))


def _read_runs(profile: Profile, environment: str, row: str, reading: str, levels: Levels) -> list[Run]:
    """A row of Table 1 in one reading, with every seed of the study."""
    settings = replace(TABLE1[row], **settings_of(levels))
    setting, steps = f"{row}+{reading}", profile.total_timesteps
    return [Run(environment, "ppo", setting, seed, steps, settings) for seed in profile.study_seeds]


def _updates(profile: Profile, designed: Mapping[str, Levels]) -> tuple[Run, ...]:
    """Figure 2's runs in each of the readings."""
    return tuple(
        replace(run, setting=f"{run.setting}+{reading}", settings=replace(run.settings, **settings_of(levels)))
        for reading, levels in designed.items()
        for run in _first_updates(profile.first_update_seeds)
    )


def tuning(profile: Profile) -> Protocol:
    """The sweeps by which the algorithms of Figure 3 got the settings that the paper does not give."""
    runs = [
        Run(environment, sweep.algorithm, setting, seed, round(sweep.fraction * profile.total_timesteps), settings)
        for sweep in SWEEPS
        for environment in SWEPT_ENVIRONMENTS
        for setting, settings in sweep.settings.items()
        for seed in sweep.seeds
    ]
    return Protocol(
        "tuning",
        "sweeps over what is not known of the algorithms of Figure 3",
        (*runs, *_untrained(profile, SWEPT_ENVIRONMENTS, (SWEEP_SEED,))),
    )


def klip_ppo(profile: Profile) -> Protocol:
    """Not the paper's: three objectives of KLip-PPO's table on three tasks, and on one its own beside the clipped."""
    runs = [
        Run(environment, "ppo", f"{objective}+klip-ppo", seed, profile.total_timesteps, settings)
        for environment in klip.ENVIRONMENTS
        for objective, settings in klip.OBJECTIVES.items()
        for seed in klip.SEEDS
    ]
    runs += [
        Run(
            klip.PER_SAMPLE_ENVIRONMENT,
            "per-sample-kl",
            "clip-0.2+klip-ppo",
            seed,
            profile.total_timesteps,
            klip.CLIPPED,
        )
        for seed in klip.PER_SAMPLE_SEEDS
    ]
    return Protocol("klip-ppo", "not the paper's: KLip-PPO's table, an outside check", tuple(runs))


PAPER = {"table1": table1, "figure1": figure1, "figure2": figure2, "figure3": figure3, "atari": atari}
"""The paper's own tables and figures: "all"."""

PROTOCOLS = {
    **PAPER,
    "readings": readings,
    "readings-best": readings_best,
    "tuning": tuning,
    "precision": precision,
    "klip-ppo": klip_ppo,
}
"""And what was done before them, on other seeds, or beside them."""


def select(names: Iterable[str], profile: Profile, reading: str = DEFAULT) -> list[Protocol]:
    """The protocols called ``names`` ("all" for the paper's own), in a reading of what the text leaves open. Raises
    ``ValueError`` that names the nearest ones."""
    wanted: dict[str, None] = {}
    for name in names:
        if name == "all":
            wanted.update(dict.fromkeys(PAPER))
        elif name in PROTOCOLS:
            wanted[name] = None
        else:
            raise ValueError(unknown("protocol", name, [*PROTOCOLS, "all"]))
    return [in_reading(PROTOCOLS[name](profile), reading) for name in wanted]


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """One line for a name that is not one of ``valid``: the nearest ones, or all of them if none is near."""
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    return f"unknown {kind} {name!r}; " + (f"did you mean {', '.join(near)}?" if near else f"valid: {', '.join(valid)}")
