"""A trained policy plays as it was trained: with its own observation normaliser, and the noise that was asked for."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.spaces import Box, Discrete

import experiments
from baselines.acer import ACERSettings
from baselines.cem import CEMSettings
from experiments.cli.commands import main
from experiments.paper.settings import MUJOCO, usual_settings
from experiments.planning.planner import Stack
from experiments.policies import evaluation, video
from experiments.policies.video import film
from experiments.run import Run
from experiments.store.files import StoreError
from experiments.store.stack_folder import StackFolder
from ppo import checkpoint
from ppo.policies import ActorCritic, make_policy
from ppo.ppo import PPOSettings
from ppo.seeding import environment_seeds
from tests.helpers.commands import train_stack

REPOSITORY = Path(experiments.__file__).parents[1]
SHORT = dataclasses.replace(MUJOCO, num_steps=512, update_epochs=2)
PLAIN = dataclasses.replace(SHORT, norm_obs=False)


def trained(out, environment, settings, seeds=(1, 2), algorithm="ppo"):
    """A folder as `ppo train` leaves it, with one short stack."""
    stack = Stack(tuple(Run(environment, algorithm, "short", seed, 1024, settings) for seed in seeds))
    folder = StackFolder(out / "stacks" / stack.name)
    folder.create([run.record for run in stack.runs])
    assert train_stack(folder.path) == 0
    return out


@pytest.fixture(scope="module")
def hopper(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("hopper"), "Hopper-v4", SHORT)


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("cartpole"), "CartPole-v1", PLAIN, seeds=(1,))


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    """Its episodes are short: a frame drawn without a graphics card takes most of a second."""
    return trained(tmp_path_factory.mktemp("pendulum"), "InvertedPendulum-v4", PLAIN, seeds=(1,))


def by_hand(folder, row, environment, episodes, seed, deterministic, normalise=True):
    """Returns of a plain Gymnasium loop: the network's layers and the normaliser taken from the checkpoint itself."""
    (path,) = folder.glob("stacks/*/checkpoint.pt")
    algorithm = checkpoint.load(path)["algorithm"]
    player = evaluation.policies_in(folder)[row]
    layers = [(w[0].detach().numpy(), b[0].detach().numpy()) for w, b in player.policy.layers["actor"]]
    np.testing.assert_array_equal(player.policy.parameters[0].detach(), algorithm["parameters"][row])
    statistics = algorithm["collector"]["observation_normalizer"]
    env = gymnasium.make(environment)
    seeds = environment_seeds([seed], episodes)
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seeds[episode])
        total, step, ended = 0.0, 0, False
        while not ended:
            hidden = np.asarray(observation, dtype=np.float64)
            if statistics and normalise:
                mean, var = statistics["mean"][row], statistics["var"][row]
                hidden = np.clip((hidden - mean) / np.sqrt(var + 1e-8), -10, 10)
            hidden = hidden.astype(np.float32)
            for number, (weights, bias) in enumerate(layers):
                hidden = hidden @ weights + bias.reshape(-1)
                hidden = np.tanh(hidden) if number < len(layers) - 1 else hidden
            noise = player.policy.draw_noise([seed], step, 1, episodes)[0, 0, episode]
            if isinstance(env.action_space, gymnasium.spaces.Discrete):
                action: Any = int(np.argmax(hidden if deterministic else hidden + noise))
            else:
                std = np.exp(player.policy.log_std[0].detach().numpy().reshape(-1))
                action = hidden if deterministic else hidden + std * noise
            observation, reward, terminated, truncated, _ = env.step(action)
            total, step, ended = total + float(reward), step + 1, terminated or truncated
        returns.append(total)
    env.close()
    return np.array(returns)


@pytest.fixture(scope="module")
def pong():
    """A player that was never trained."""
    settings = PPOSettings(network="nature", norm_obs=False)
    policy = make_policy("nature", (84, 84, 4), gymnasium.spaces.Discrete(6), [1])
    return evaluation.TrainedPolicy(Run("PongNoFrameskip-v4", "ppo", "x", 1, 1024, settings), policy, None, Discrete(6))


def test_game_is_played_out_and_filmed(pong, tmp_path):
    """A game is played to its end, and filmed as the network sees it."""
    (episodic_return,) = evaluation.play(pong, 1, seed=3, deterministic=False)
    assert -21 <= episodic_return <= -15, "one that cannot play loses"
    filmed, _ = film("PongNoFrameskip-v4", pong.actor(3, False), tmp_path / "pong.mp4", environment_seeds([3], 1)[0])
    assert filmed == episodic_return
    frames = imageio.mimread(tmp_path / "pong.mp4", memtest=False)
    assert frames[0].shape[:2] == (336, 336)
    assert len(frames) > 700, "21 points take a minute, at 15 frames a second"


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("row", [0, 1])
def test_returns_are_those_of_a_plain_loop(hopper, row, deterministic):
    player = evaluation.policies_in(hopper)[row]
    returns = evaluation.play(player, 3, seed=9, deterministic=deterministic)
    np.testing.assert_allclose(returns, by_hand(hopper, row, "Hopper-v4", 3, 9, deterministic), rtol=1e-3)


def test_a_policy_of_discrete_actions_plays_too(cartpole):
    (player,) = evaluation.policies_in(cartpole)
    for deterministic in (False, True):
        returns = evaluation.play(player, 4, seed=3, deterministic=deterministic)
        np.testing.assert_array_equal(returns, by_hand(cartpole, 0, "CartPole-v1", 4, 3, deterministic))


def test_a_policy_whose_critic_tells_actions_apart_plays_too(tmp_path):
    settings = ACERSettings(num_steps=32, norm_obs=False, replay_start=32)
    (player,) = evaluation.policies_in(trained(tmp_path, "CartPole-v1", settings, (1,), "acer"))
    returns = evaluation.play(player, 4, seed=3, deterministic=False)
    np.testing.assert_array_equal(returns, by_hand(tmp_path, 0, "CartPole-v1", 4, 3, deterministic=False))
    evaluation.export(player, tmp_path / "policy.pt")
    (exported,) = evaluation.policies_in(tmp_path / "policy.pt")
    np.testing.assert_array_equal(evaluation.play(exported, 4, 3, deterministic=False), returns)


def test_the_same_seed_plays_the_same_and_another_does_not(hopper):
    player = evaluation.policies_in(hopper)[0]
    first, again, other = (evaluation.play(player, 3, seed, deterministic=False) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_most_likely_actions_are_not_the_sampled_ones(hopper):
    player = evaluation.policies_in(hopper)[0]
    assert not np.array_equal(evaluation.play(player, 3, 1, True), evaluation.play(player, 3, 1, False))


def test_the_observation_normaliser_is_used(hopper):
    player = evaluation.policies_in(hopper)[0]
    without = dataclasses.replace(player, normalizer=None)
    assert not np.allclose(evaluation.play(player, 3, 1, True), evaluation.play(without, 3, 1, True))
    plain = by_hand(hopper, 0, "Hopper-v4", 3, 1, deterministic=True, normalise=False)
    np.testing.assert_allclose(evaluation.play(without, 3, 1, True), plain, rtol=1e-3)


def test_a_training_without_normaliser_plays_without(cartpole):
    assert evaluation.policies_in(cartpole)[0].normalizer is None


@pytest.mark.parametrize("which", ["hopper", "cartpole"])
def test_an_exported_policy_plays_the_same(which, request, tmp_path):
    player = evaluation.policies_in(request.getfixturevalue(which))[0]
    evaluation.export(player, tmp_path / "policy.pt")
    (back,) = evaluation.policies_in(tmp_path / "policy.pt")
    assert back.run == player.run
    assert torch.equal(back.policy.parameters, player.policy.parameters)
    np.testing.assert_array_equal(evaluation.play(back, 2, 5, False), evaluation.play(player, 2, 5, False))
    assert (tmp_path / "policy.pt").stat().st_size < 200_000


def test_a_stacks_folder_and_a_checkpoint_hold_the_same_policies(hopper):
    (stack,) = hopper.glob("stacks/*")
    for path in (stack, stack / "checkpoint.pt"):
        assert [player.run for player in evaluation.policies_in(path)] == [
            player.run for player in evaluation.policies_in(hopper)
        ]


def test_a_folder_without_policies_is_refused_by_name(tmp_path):
    with pytest.raises(StoreError, match="holds no trained policy") as error:
        evaluation.policies_in(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


# --- the commands


def test_a_humanoid_is_filmed_as_it_plays(tmp_path, capsys):
    """Alone through Gymnasium, and among others in rows: the same return. It was never trained, and lies around."""
    environment, space = "RoboschoolHumanoidFlagrunHarder-v0", Box(-1, 1, (17,), np.float32)
    settings = dataclasses.replace(usual_settings(environment, "ppo"), norm_obs=False)
    policy = make_policy(settings.network, (44,), space, [1])
    humanoid = evaluation.TrainedPolicy(Run(environment, "ppo", "x", 1, 1024, settings), policy, None, space)
    evaluation.export(humanoid, tmp_path / "policy.pt")
    flags = ["--seed", "5", "--max-steps", "60"]
    if main(["video", str(tmp_path / "policy.pt"), "--out", str(tmp_path / "films"), "--stills", "3", *flags]) == 2:
        said = capsys.readouterr().err
        assert said.startswith(f"ppo: cannot draw {environment}")
        pytest.skip(said.strip())
    (played, *_), cut = evaluation.play_within(60, humanoid, 3, 5, deterministic=False)
    assert f"x_1.mp4  return {played:,.1f} (cut)" in capsys.readouterr().out.replace("\n", "")
    assert cut[0]
    film, stills = sorted((tmp_path / "films").iterdir(), key=lambda path: path.suffix == ".png")
    assert len(imageio.mimread(film, memtest=False)) == 30
    assert imageio.imread(stills).shape == (640, 960, 3), "two rows, the last place empty"


def refused(capsys, *argv):
    assert main(list(map(str, argv))) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_evaluate_prints_a_line_for_every_policy(hopper, capsys):
    assert main(["evaluate", str(hopper), "--episodes", "2", "--seed", "9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"playing Hopper-v4 ppo short seed {n}: 2 episodes, of 100,000 steps at most" for n in (1, 2)]
    assert len(lines) == 5
    returns = evaluation.play(evaluation.policies_in(hopper)[0], 2, 9, deterministic=False)
    assert lines[3].split()[:6] == ["Hopper-v4", "ppo", "short", "1", "2", f"{returns.mean():,.1f}"]


def test_evaluate_takes_the_policies_that_are_asked_for(hopper, capsys):
    assert main(["evaluate", str(hopper), "--episodes", "1", "--run-seed", "2"]) == 0
    playing, _, row = capsys.readouterr().out.splitlines()[-3:]  # a first line may say that it compiles
    assert playing.startswith("playing Hopper-v4 ppo short seed 2: ")
    assert row.split()[:4] == ["Hopper-v4", "ppo", "short", "2"]


def test_a_policy_that_is_not_there_gets_the_ones_that_are(hopper, capsys):
    assert "setting/seed there: short/1, short/2" in refused(capsys, "evaluate", hopper, "--run-seed", "7")
    assert "setting/seed there: short/1, short/2" in refused(capsys, "evaluate", hopper, "--setting", "long")


@pytest.mark.parametrize("episodes", ["0", "-1"])
def test_no_episodes_are_refused(hopper, capsys, episodes):
    try:
        code: int | str | None = main(["evaluate", str(hopper), "--episodes", episodes])
    except SystemExit as ending:
        code = ending.code
    assert code == 2
    assert "episodes" in capsys.readouterr().err


def test_a_file_that_is_no_policy_is_refused_by_name(hopper, tmp_path, capsys):
    (path,) = hopper.glob("stacks/*/checkpoint.pt")
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:-5])
    (tmp_path / "foreign.pt").write_bytes(b"PK\x03\x04")
    for name in ("cut.pt", "foreign.pt"):
        assert str(tmp_path / name) in refused(capsys, "evaluate", tmp_path / name)


def test_a_film_of_an_unknown_kind_is_refused(hopper, capsys, tmp_path):
    assert "choose mp4 or gif" in refused(capsys, "video", hopper, "--format", "avi")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_a_film_is_written(pendulum, tmp_path, kind, capsys):
    if main(["video", str(pendulum), "--out", str(tmp_path / "films"), "--format", kind, "--stills", "3"]) == 2:
        said = capsys.readouterr().err
        assert said.startswith("ppo: cannot draw InvertedPendulum-v4")
        pytest.skip(said.strip())
    film, stills = sorted((tmp_path / "films").iterdir(), key=lambda path: path.suffix == ".png")
    assert film.name == f"InvertedPendulum-v4_ppo_short_1.{kind}"
    assert stills.name == "InvertedPendulum-v4_ppo_short_1.png"
    assert imageio.imread(stills).shape == (960, 960, 3), "two rows, the last place empty"
    frames = imageio.mimread(film, memtest=False)
    assert 3 < len(frames) < 500
    assert frames[0].shape[:2] == (480, 480)
    assert np.ptp(frames[0]) > 50, "the picture is not empty"
    assert not np.array_equal(frames[0], frames[-1]), "something moves"


@pytest.mark.parametrize("shape", [(336, 336), (320, 480, 3)])
def test_a_caption_is_written_into_the_corner_of_a_copy(shape):
    picture = np.full(shape, 128, np.uint8)
    first, second = (video._captioned(picture, f"step {step}  return -3") for step in (1, 2))
    assert (picture == 128).all()
    assert first.shape == shape
    assert {0, 255} <= set(np.unique(first)), "legible on dark and on bright"
    assert (first[60:] == 128).all()
    assert not np.array_equal(first, second)


def test_stills_are_spread_from_the_first_picture_to_the_last():
    pictures = [np.full((2, 3, 3), number, np.uint8) for number in range(9)]
    assert video._side_by_side(pictures, 5)[::2, ::3, 0].tolist() == [[0, 2, 4], [6, 8, 255]]
    assert video._side_by_side(pictures[:2], 5)[::2, ::3, 0].tolist() == [[0], [1]]
    assert video._side_by_side(pictures, 1)[::2, ::3, 0].tolist() == [[0]]
    assert video._side_by_side(pictures[:2], 10**13)[::2, ::3, 0].tolist() == [[0], [1]]


@pytest.mark.parametrize("length", [1, 5, 48, 49, 50, 1000, 1537])
def test_of_a_long_film_pictures_are_kept_that_are_evenly_spread(length):
    kept = video.Kept(3)
    for number in range(length):
        kept.add(np.full((1, 1), number))
    numbers = [int(picture[0, 0]) for picture in kept.pictures()]
    assert (numbers[0], numbers[-1]) == (0, length - 1)
    assert len(numbers) <= 50
    shown = video._side_by_side([np.full((1, 1, 3), number) for number in numbers], 3)[..., 0].ravel()
    middle = [number for number in shown.tolist() if number not in (0, length - 1, 255)]
    assert all(abs(number - (length - 1) / 2) <= length / 24 for number in middle)
    assert len(middle) == (length > 2)


class Counting(gymnasium.Env):
    """Pays 1 a step for 12 steps, and counts what it draws."""

    observation_space = Box(-1, 1, (1,), np.float64)

    def __init__(self, fps):
        self.metadata, self.drawn, self.steps, self.closed = {"render_fps": fps}, 0, 0, False

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1), 1.0, self.steps == 12, False, {}

    def render(self):
        self.drawn += 1
        return np.full((32, 32, 3), self.steps, np.uint8)

    def close(self):
        self.closed = True


@pytest.mark.parametrize(("most", "cut"), [(11, True), (12, False), (13, False)])
def test_an_episode_that_ends_with_its_last_step_is_not_cut(tmp_path, monkeypatch, most, cut):
    env = Counting(30)
    monkeypatch.setattr(video, "_rendering_environment", lambda name: env)
    found = film("Counting-v0", lambda *_: np.zeros((1, 1)), tmp_path / "film.gif", 1, max_steps=most)
    assert found == (min(most, 12), cut)
    assert env.closed


def test_a_film_of_odd_size_is_not_stretched(tmp_path, monkeypatch, capfd):
    env = Counting(30)
    monkeypatch.setattr(env, "render", lambda: np.full((31, 45, 3), 128, np.uint8))
    monkeypatch.setattr(video, "_rendering_environment", lambda name: env)
    film("Counting-v0", lambda *_: np.zeros((1, 1)), tmp_path / "film.mp4", 1)
    last = imageio.mimread(tmp_path / "film.mp4")[-1].astype(int)
    assert last.shape == (32, 46, 3)
    assert (abs(last[20:30, :44] - 128) < 12).all(), "below the caption it is the picture"
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize(("fps", "drawn"), [(20, 12), (30, 12), (61, 6), (125, 3)])
def test_at_most_about_30_pictures_a_second_are_drawn(fps, drawn, tmp_path, monkeypatch):
    env = Counting(fps)
    monkeypatch.setattr(video, "_rendering_environment", lambda name: env)
    assert film("Counting-v0", lambda observations, step: np.zeros((1, 1)), tmp_path / "film.gif", 1) == (12.0, False)
    assert env.drawn == drawn


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            ImportError("Cannot initialize\nEGL"),
            "install EGL or OSMesa (Debian: libegl1 libgl1-mesa-dri, or libosmesa6)",
        ),
        (gymnasium.error.DependencyNotInstalled("pygame is not installed"), "CartPole-v1: pygame is not installed"),
    ],
)
def test_where_nothing_can_draw_what_to_install_is_said(tmp_path, monkeypatch, error, advice):
    def render(env):
        raise error

    monkeypatch.setattr(CartPoleEnv, "render", render)
    with pytest.raises(StoreError, match=r"^cannot draw CartPole-v1") as refusal:
        film("CartPole-v1", None, tmp_path / "film.mp4", seed=1)
    assert advice in str(refusal.value)
    assert ("EGL" in str(refusal.value)) == ("EGL" in str(error))


def test_drawing_happens_in_a_process_of_its_own(pendulum, tmp_path):
    """Not in this one: what draws must not meet what PyTorch imports later (experiments/cli/policies.py)."""
    code = (
        "import sys\nfrom experiments.cli.commands import main\nif __name__ == '__main__':\n"
        "    code = main(sys.argv[1:])\n"
        "    print(code, [name for name in sys.modules if 'OpenGL' in name or 'imageio' in name])"
    )
    argv = [sys.executable, "-c", code, "video", str(pendulum), "--out", "films", "--format", "gif"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("MUJOCO_GL", None)  # with it, mujoco imports OpenGL wherever it is imported
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)
    if "cannot draw" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert len(list((tmp_path / "films").iterdir())) == 1


@pytest.mark.parametrize(("deterministic", "same"), [(True, True), (False, False)])
def test_a_policy_that_was_trained_without_noise_is_played_without(deterministic, same):
    settings = CEMSettings(deterministic=deterministic)
    run = Run("Hopper-v4", "cem", "default", 1, 1000, settings)
    space = gymnasium.make("Hopper-v4").action_space
    policy = ActorCritic((11,), space, [1], (64, 64))
    player = evaluation.TrainedPolicy(run, policy, None, space)
    observations, noise = np.ones((4, 11)), np.ones((4, 3), dtype=np.float32)
    assert np.array_equal(player.act(observations, noise), player.act(observations, None)) == same


@pytest.mark.parametrize("clips", [True, False])
def test_a_policy_whose_actions_were_clipped_is_played_so(clips):
    run = Run("Hopper-v4", "ppo", "default", 1, 1000, PPOSettings(clip_actions=clips))
    space = gymnasium.make("Hopper-v4").action_space
    player = evaluation.TrainedPolicy(run, ActorCritic((11,), space, [1], (64, 64)), None, space)
    actions = player.act(np.ones((4, 11)), np.full((4, 3), 5.0, dtype=np.float32))
    assert (actions == 1.0).all() == clips
    assert (actions >= 1.0).all()


def test_a_policy_whose_actions_were_rescaled_is_played_so():
    space = Box(np.array([0.0, -4.0], np.float32), np.array([10.0, 0.0], np.float32))
    network = ActorCritic((11,), space, [1], (64, 64))
    drawn, scaled = (
        evaluation.TrainedPolicy(
            Run("Own-v0", "ppo", "default", 1, 1000, PPOSettings(rescale_actions=rescales)), network, None, space
        ).act(np.ones((4, 11)), np.full((4, 2), 0.5, dtype=np.float32))
        for rescales in (False, True)
    )
    np.testing.assert_allclose(scaled, drawn * [5, 2] + [5, -2], rtol=1e-6)
