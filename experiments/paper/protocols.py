"""The paper's experiments as data: which runs each table and figure needs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from experiments.paper import about
from experiments.paper.games import READ_GAMES
from experiments.paper.humanoid import figure4, figure4_readings, figure4_settings, figure4_tuning
from experiments.paper.klip_ppo import klip_ppo
from experiments.paper.profiles import Profile
from experiments.paper.protocol import Protocol, first_updates, untrained
from experiments.paper.readings import ACER_CHANGES, ATARI_READINGS, DEFAULT, READINGS
from experiments.paper.settings import ATARI, COMPARED, TABLE1, check_reading, usual_settings
from experiments.paper.study import figure2_settings, none_on_reacher, readings, readings_best
from experiments.paper.sweeps import tuning
from experiments.run import Run
from ppo.settings import Settings


def table1(profile: Profile) -> Protocol:
    """Plan sec. 6.1: 11 surrogate objectives x 7 tasks x seeds, and the random policy, the zero of the scores."""
    trained = tuple(
        Run(environment, "ppo", setting, seed, profile.total_timesteps, settings)
        for environment in profile.environments
        for setting, settings in TABLE1.items()
        for seed in profile.table1_seeds.of(setting)
    )
    return Protocol("table1", trained, untrained(profile, profile.environments, profile.untrained_seeds))


def figure1(profile: Profile) -> Protocol:
    """Plan no runs: Figure 1 is a drawing of equation 7."""
    return Protocol("figure1")


def figure2(profile: Profile) -> Protocol:
    """Plan sec. 3: the surrogates between the first policy and the one after its first update, on Hopper."""
    return Protocol("figure2", first_updates=first_updates(profile.figure2_seeds))


def figure3(profile: Profile) -> Protocol:
    """Plan sec. 6.2: the comparison of algorithms on the seven tasks, and the random policy as in Table 1."""
    own = {name: usual_settings("", name) for name in profile.own_algorithms}
    trained = tuple(
        Run(environment, algorithm, _setting(algorithm), seed, profile.total_timesteps, settings)
        for environment in profile.environments
        for algorithm, settings in {**_only(profile.figure3_algorithms, COMPARED), **own}.items()
        for seed in profile.figure3_seeds.of(algorithm)
    )
    return Protocol("figure3", trained, untrained(profile, profile.environments, profile.untrained_seeds))


def _only(names: tuple[str, ...] | None, compared: Mapping[str, Settings]) -> Mapping[str, Settings]:
    """Return the entries of ``compared`` with these ``names``; None for all."""
    return compared if names is None else {name: compared[name] for name in names}


def _setting(algorithm: str) -> str:
    return "clip-0.2" if algorithm == "ppo" else "default"  # PPO's runs are those of Table 1


def runs_with_saved_policy(profile: Profile, reading: str = DEFAULT) -> list[Run]:
    """List the runs whose final policies are saved with the results: the first seed of each algorithm of Figure 3, and
    of each task of Figure 4."""
    figure_3 = in_reading(figure3(profile), reading)
    kept = [run for run in figure_3.trained if run.seed == profile.figure3_seeds.of(run.algorithm)[0]]
    return kept + [run for run in figure4(profile).trained if run.seed == profile.humanoid_seeds[0]]


def atari(profile: Profile) -> Protocol:
    """Plan sec. 6.4: PPO and the two algorithms it is compared with, on the games of Tables 2 and 6 and of Figure 6."""
    trained = tuple(
        Run(f"{game}NoFrameskip-v4", algorithm, "default", seed, profile.atari_timesteps, settings)
        for game in profile.games
        for algorithm, settings in _only(profile.atari_algorithms, ATARI).items()
        for seed in profile.atari_seeds
    )
    return Protocol("atari", trained)


def precision(profile: Profile) -> Protocol:
    """Plan PPO on Pong with its backward pass in bfloat16, beside the run of ``atari`` with that seed."""
    lower = replace(ATARI["ppo"], backward_dtype="bfloat16")
    trained = tuple(
        Run("PongNoFrameskip-v4", "ppo", setting, profile.atari_seeds[0], profile.atari_timesteps, settings)
        for setting, settings in (("default", ATARI["ppo"]), ("bfloat16", lower))
    )
    return Protocol("precision", trained)


def atari_readings(profile: Profile) -> Protocol:
    """Plan the readings of section 6.4 beside each other: the network that it cites, and the code released then."""
    trained = tuple(
        Run(f"{game}NoFrameskip-v4", "ppo", setting, seed, profile.atari_timesteps, replace(ATARI["ppo"], **changes))
        for game in READ_GAMES
        for reading, changes in ATARI_READINGS.items()
        for setting in ("default" if reading == DEFAULT else reading,)
        for seed in profile.atari_seeds[:2]
    )
    return Protocol("atari-readings", trained)


def acer_on_breakout(profile: Profile) -> Protocol:
    """Plan ACER on Breakout with one of its settings changed at a time: there the paper's curve begins lower than ours
    and the release's, and ends higher."""
    trained = tuple(
        Run("BreakoutNoFrameskip-v4", "acer", setting, profile.atari_seeds[0], profile.atari_timesteps, settings)
        for setting, changes in ACER_CHANGES.items()
        for settings in (replace(ATARI["acer"], **changes),)
    )
    return Protocol("acer-on-breakout", trained)


_READ: tuple[tuple[Mapping[str, Settings], Mapping[str, Mapping[str, Any]]], ...] = (
    (TABLE1, READINGS),
    ({"default": ATARI["ppo"]}, ATARI_READINGS),
)
"""Settings by their names, and the readings of them."""
READ = ("table1", "figure2", "figure3", "atari")
"""The protocols that can be trained in another reading; the others compare settings with the usual one."""


def in_reading(protocol: Protocol, reading: str) -> Protocol:
    """Return ``protocol`` with the rows of Table 1 and PPO on Atari in another reading, and its other runs
    unchanged."""

    def changed(run: Run) -> Run:
        for settings, named in _READ:
            if settings.get(run.setting) == run.settings:
                return replace(run, settings=replace(run.settings, **named.get(reading, {})))
        return run

    trained, updates = tuple(map(changed, protocol.trained)), tuple(map(changed, protocol.first_updates))
    return replace(protocol, trained=trained, first_updates=updates)


PROTOCOLS: dict[str, Callable[[Profile], Protocol]] = {
    "table1": table1,
    "figure1": figure1,
    "figure2": figure2,
    "figure3": figure3,
    "figure4": figure4,
    "atari": atari,
    "readings": readings,
    "readings-best": readings_best,
    "figure2-settings": figure2_settings,
    "none-on-reacher": none_on_reacher,
    "tuning": tuning,
    "figure4-tuning": figure4_tuning,
    "figure4-readings": figure4_readings,
    "figure4-settings": figure4_settings,
    "atari-readings": atari_readings,
    "acer-on-breakout": acer_on_breakout,
    "precision": precision,
    "klip-ppo": klip_ppo,
}
"""The protocols that ``about.PROTOCOLS`` describes."""


def select(names: Iterable[str], profile: Profile, reading: str = DEFAULT) -> list[Protocol]:
    """Plan the protocols ``names``, in a reading of the details that the text omits; "all": the paper's, but in another
    reading only those that it changes.

    Raises ``ValueError`` for an unknown name, with the nearest ones, and for a named protocol that takes no reading or
    that this one does not change.
    """
    check_reading(reading)
    named: dict[str, bool] = {}
    for name in names:
        if name != "all" and name not in PROTOCOLS:
            raise ValueError(about.unknown(name))
        for one in about.PAPER if name == "all" else [name]:
            named[one] = named.get(one, False) or name != "all"
    selected = []
    for name, by_name in named.items():
        usual = PROTOCOLS[name](profile)
        if reading != DEFAULT and by_name and name not in READ:
            raise ValueError(f"{name} takes no --reading, only {', '.join(READ[:-1])} and {READ[-1]} do")
        protocol = usual if reading == DEFAULT or name not in READ else in_reading(usual, reading)
        if reading != DEFAULT and protocol == usual:
            if by_name:
                raise ValueError(f"the {reading} reading changes nothing in {name}")
            continue
        selected.append(protocol)
    return selected
