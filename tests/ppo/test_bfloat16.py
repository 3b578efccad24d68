"""Gradients of convolutional networks in bfloat16: exact forward, and near the float32 gradient backward."""

import pytest
import torch
from gymnasium.spaces import Discrete

from ppo import policies
from ppo.policies import make_policy
from ppo.ppo import PPOSettings
from ppo.settings import SettingsError
from ppo.stacked.convolutional import computes_bfloat16

pytestmark = pytest.mark.skipif(not computes_bfloat16(), reason="this processor has no bfloat16")
IMAGE = (84, 84, 4)


def policy_of(backward_dtype):
    return make_policy("nature", IMAGE, Discrete(6), [1], backward_dtype=backward_dtype)


def images(count=32):
    return torch.randint(0, 256, (1, count, *IMAGE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def gradient(policy, dtype=torch.float32):
    """Of a loss on actor and critic with weights of either sign."""
    distribution, values = policy(images())
    weights = torch.randn(32, generator=torch.Generator().manual_seed(1))
    loss = (distribution.log_prob(torch.arange(32)[None] % 6) * weights).sum() + (values * weights.flip(0)).sum()
    return torch.autograd.grad(loss, policy.parameters)[0]


def test_what_goes_forward_is_exact():
    plain, lower = policy_of("float32"), policy_of("bfloat16")
    for one, other in zip(plain(images()), lower(images()), strict=True):
        one, other = (getattr(side, "logits", side) for side in (one, other))
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(lower.values(images()), plain.values(images()))


def test_the_gradient_is_near_the_float32_one_and_not_the_same():
    expected, found = gradient(policy_of("float32")), gradient(policy_of("bfloat16"))
    distance = (found - expected).norm() / expected.norm()
    assert 1e-4 < distance < 2e-2


def test_a_processor_without_it_is_told_so_in_one_line(monkeypatch):
    monkeypatch.setattr(policies, "computes_bfloat16", lambda: False)
    with pytest.raises(ValueError, match="backward_dtype = bfloat16 needs AVX512_BF16 or AMX") as error:
        policy_of("bfloat16")
    assert "\n" not in str(error.value)


def test_another_type_is_refused_by_name():
    with pytest.raises(
        SettingsError, match="backward_dtype = float16 cannot be trained: it must be float32 or bfloat16"
    ):
        PPOSettings(backward_dtype="float16").check()
