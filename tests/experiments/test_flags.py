"""Every setting of every algorithm is a flag with its docstring; several values make a sweep."""

import argparse
import dataclasses
import math

import pytest

from baselines import ALGORITHMS
from experiments.cli.flags.settings import add_settings, field_docs, sweep
from ppo.settings import SettingsError

KINDS = pytest.mark.parametrize(
    "kind", [record.load().Settings for record in ALGORITHMS.values()], ids=list(ALGORITHMS)
)


def swept(kind, *argv):
    parser = argparse.ArgumentParser()
    add_settings(parser, kind(), "")
    return sweep(parser.parse_args(argv), kind())


@KINDS
def test_every_setting_has_a_docstring(kind):
    docs = field_docs(kind)
    for field in dataclasses.fields(kind):
        assert docs.get(field.name), f"{kind.__name__}.{field.name} has none"


@KINDS
def test_every_setting_is_a_flag_with_its_docstring_and_default(kind):
    parser = argparse.ArgumentParser()
    add_settings(parser, kind(), "")
    text = " ".join(parser.format_help().split())
    docs = field_docs(kind)
    for field in dataclasses.fields(kind):
        assert f"--{field.name.replace('_', '-')} " in text
        assert f"{' '.join(docs[field.name].split())} (default: {field.default})" in text


@KINDS
def test_every_flag_takes_its_own_default(kind):
    for field in dataclasses.fields(kind):
        own = swept(kind, f"--{field.name.replace('_', '-')}", str(field.default))
        assert own == {"default": kind()}


@KINDS
def test_without_flags_there_is_the_default(kind):
    assert swept(kind) == {"default": kind()}


def test_sweep_is_every_combination():
    """A sweep is every combination, named by its difference from the defaults."""
    kind = ALGORITHMS["ppo"].load().Settings
    own = swept(kind, "--clip-coef", "0.1", "0.2", "inf", "--norm-obs", "true", "false")
    assert {name: (settings.clip_coef, settings.norm_obs) for name, settings in own.items()} == {
        "clip_coef=0.1": (0.1, True),
        "norm_obs=False,clip_coef=0.1": (0.1, False),
        "default": (0.2, True),
        "norm_obs=False": (0.2, False),
        "clip_coef=inf": (math.inf, True),
        "norm_obs=False,clip_coef=inf": (math.inf, False),
    }


def test_the_same_value_twice_is_one_setting():
    assert len(swept(ALGORITHMS["ppo"].load().Settings, "--clip-coef", "0.1", "0.10")) == 1


def test_one_impossible_value_of_a_sweep_refuses_it():
    with pytest.raises(SettingsError, match=r"clip_coef = -0\.1 cannot be trained"):
        swept(ALGORITHMS["ppo"].load().Settings, "--clip-coef", "0.1", "-0.1")


def test_a_bare_switch_is_on():
    ((name, settings),) = swept(ALGORITHMS["ppo"].load().Settings, "--clip-actions").items()
    assert (name, settings.clip_actions) == ("clip_actions=True", True)


@pytest.mark.parametrize("word", ["maybe", "2", ""])
def test_a_switch_takes_nothing_but_true_and_false(word, capsys):
    with pytest.raises(SystemExit):
        swept(ALGORITHMS["ppo"].load().Settings, "--norm-obs", word)
    assert "is neither true nor false" in capsys.readouterr().err
