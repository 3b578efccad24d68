"""What things are called."""

from __future__ import annotations

from analysis.data.labels import SETTINGS, algorithm_name, ordered, task


def test_names() -> None:
    assert (task("HalfCheetah-v4"), task("cart-vertical"), task("A-v1-v2")) == ("HalfCheetah", "cart-vertical", "A-v1")
    assert ordered(["zeta", "clip-0.1", "none", "alpha"], SETTINGS) == ["none", "clip-0.1", "alpha", "zeta"]
    assert (algorithm_name("ppo"), algorithm_name("unheard-of")) == ("PPO (Clip)", "unheard-of")
