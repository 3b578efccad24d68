"""How much of the paper to run: environments, algorithms, seeds and budgets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from experiments.paper.readings import FIRST_UPDATE_SEEDS, STUDY_SEEDS

ENVIRONMENTS = (  # sec. 6.1 ("-v1" then; -v4 keeps v1's rewards and observations nearest)
    "HalfCheetah-v4",
    "Hopper-v4",
    "InvertedDoublePendulum-v4",
    "InvertedPendulum-v4",
    "Reacher-v4",
    "Swimmer-v4",
    "Walker2d-v4",
)

# fmt: off
GAMES = (
    "Alien", "Amidar", "Assault", "Asterix", "Asteroids", "Atlantis", "BankHeist", "BattleZone", "BeamRider",
    "Bowling", "Boxing", "Breakout", "Centipede", "ChopperCommand", "CrazyClimber", "DemonAttack", "DoubleDunk",
    "Enduro", "FishingDerby", "Freeway", "Frostbite", "Gopher", "Gravitar", "IceHockey", "Jamesbond", "Kangaroo",
    "Krull", "KungFuMaster", "MontezumaRevenge", "MsPacman", "NameThisGame", "Pitfall", "Pong", "PrivateEye",
    "Qbert", "Riverraid", "RoadRunner", "Robotank", "Seaquest", "SpaceInvaders", "StarGunner", "Tennis",
    "TimePilot", "Tutankham", "UpNDown", "Venture", "VideoPinball", "WizardOfWor", "Zaxxon",
)
# fmt: on
"""The 49 games of Table 6, as ale-py spells them."""

HUMANOID_TIMESTEPS = {  # the axes of Figure 4
    "RoboschoolHumanoid-v0": 50_000_000,
    "RoboschoolHumanoidFlagrun-v0": 100_000_000,
    "RoboschoolHumanoidFlagrunHarder-v0": 100_000_000,
}


@dataclass(frozen=True)
class Seeds:
    """The seeds of the rows of a table, or of the algorithms of a figure."""

    usual: tuple[int, ...]
    more: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """other seeds of some rows or algorithms, by name"""

    def of(self, name: str) -> tuple[int, ...]:
        """Return the seeds of one row or algorithm."""
        return self.more.get(name, self.usual)


@dataclass(frozen=True)
class Profile:
    """How much of the paper to run."""

    name: str
    results: str
    """default results folder"""
    total_timesteps: int
    """of each MuJoCo run"""
    table1_seeds: Seeds
    """by row"""
    figure3_seeds: Seeds
    """by algorithm"""
    untrained_seeds: tuple[int, ...]
    untrained_timesteps: int
    """of the random policy, per seed"""
    figure2_seeds: tuple[int, ...]
    """The paper shows one update of one run; more take seconds each and show how much they differ."""
    study_seeds: tuple[int, ...]
    """of the study of readings, and of none-on-reacher"""
    first_update_seeds: tuple[int, ...]
    """of the first updates in the study of readings"""
    games: tuple[str, ...]
    """of Atari"""
    atari_seeds: tuple[int, ...]
    atari_timesteps: int
    """of each run there: agent steps, each four frames"""
    humanoid_timesteps: Mapping[str, int]
    """of each run on a humanoid task, by its id"""
    humanoid_seeds: tuple[int, ...]
    humanoid_tuning_timesteps: int
    """of each short run that chooses what Table 4 leaves open"""
    fraction: float = 1.0
    """of each budget, after which the runs stop; --fraction says another"""
    environments: tuple[str, ...] = ENVIRONMENTS
    """of Table 1 and Figure 3"""
    figure3_algorithms: tuple[str, ...] | None = None
    """None for all that it compares"""
    own_algorithms: tuple[str, ...] = ()
    """of the user's own, ``MODULE:CLASS``, in Figure 3 beside them"""
    atari_algorithms: tuple[str, ...] | None = None
    """None for all on Atari"""


_FIVE, _TEN = tuple(range(1, 6)), tuple(range(1, 11))

PAPER = Profile(
    "paper",
    "results",
    total_timesteps=1_000_000,  # sec. 6.1
    # sec. 6.1 has three; more show how uncertain a mean of three is.
    table1_seeds=Seeds(_FIVE, dict.fromkeys(("none", "clip-0.1", "clip-0.2", "clip-0.3"), _TEN)),
    figure3_seeds=Seeds(_FIVE, dict.fromkeys(("ppo", "trpo"), _TEN)),
    untrained_seeds=_TEN,
    untrained_timesteps=50_000,
    figure2_seeds=tuple(range(1, 21)),
    study_seeds=STUDY_SEEDS,
    first_update_seeds=FIRST_UPDATE_SEEDS,
    games=GAMES,
    atari_seeds=(1, 2, 3),  # sec. 6.4
    atari_timesteps=10_000_000,  # 40M frames, Table 6
    humanoid_timesteps=HUMANOID_TIMESTEPS,
    humanoid_seeds=(1, 2),  # Figure 4 has two curves of each task
    humanoid_tuning_timesteps=1_500_000,
)
BENCHMARK = replace(  # the first steps of the paper's runs, so that each number stands beside those of results/
    PAPER,
    name="benchmark",
    results="benchmark",
    environments=("HalfCheetah-v4", "Swimmer-v4", "Walker2d-v4"),  # these and the fraction: analysis/benchmark.py
    fraction=0.05,
    table1_seeds=Seeds((1, 2, 3)),
    figure3_seeds=Seeds((1, 2, 3)),
    untrained_seeds=(1, 2, 3),
    games=(),
    humanoid_timesteps={},
)
HOUR = replace(  # the cheapest tasks, as many as two cores train up to half their budget in an hour
    BENCHMARK,
    name="hour",
    results="hour",
    environments=("HalfCheetah-v4", "InvertedPendulum-v4", "Reacher-v4", "Swimmer-v4"),
    fraction=0.5,
)
PROFILES = {
    "paper": PAPER,
    "hour": HOUR,
    "benchmark": BENCHMARK,
    "quick": Profile(
        "quick",
        "quick",
        total_timesteps=10_000,
        table1_seeds=Seeds((1, 2)),
        figure3_seeds=Seeds((1, 2)),
        untrained_seeds=(1, 2),
        untrained_timesteps=2_000,
        figure2_seeds=_TEN,
        study_seeds=STUDY_SEEDS[:1],
        first_update_seeds=FIRST_UPDATE_SEEDS[:2],
        games=("Pong",),
        atari_seeds=(1, 2),
        atari_timesteps=4_096,
        humanoid_timesteps=dict.fromkeys(HUMANOID_TIMESTEPS, 65_536),  # an iteration of 128 actors
        humanoid_seeds=(1, 2),
        humanoid_tuning_timesteps=16_384,  # an iteration of 32
    ),
}
