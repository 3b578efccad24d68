"""Public functions of tensors refuse wrong shapes in one line."""

import numpy as np
import pytest
import torch

from baselines.a2c_trust_region import projected
from ppo.advantages import gae, retrace, standardised
from ppo.distributions import Categorical, DiagonalGaussian
from ppo.ppo import adapted_kl_coef, surrogate
from ppo.schedules import adapted_learning_rate
from ppo.shapes import check_shapes

column, batch, steps = torch.ones(3, 1), torch.ones(3, 8), torch.ones(5, 3, 2)
gaussian = DiagonalGaussian(torch.zeros(3, 8, 2), torch.zeros(3, 1, 2))


def numpy_steps(shape=(5, 3, 2)):
    return np.ones(shape)


CALLS = {
    "values has shape [4, 3, 2]": lambda: gae(
        numpy_steps(), numpy_steps((4, 3, 2)), numpy_steps(), numpy_steps() > 0, numpy_steps() > 0, 0.9, 0.9
    ),
    "last_values has shape [3]": lambda: retrace(
        steps, steps > 0, steps, steps, steps, torch.ones(3), torch.ones(3, 1)
    ),
    "advantages has shape [8]": lambda: standardised(torch.ones(8)),
    "advantages has shape [3, 1]": lambda: surrogate(batch, column, column),
    "kl has shape [3]": lambda: adapted_kl_coef(column, torch.ones(3), column),
    "target has shape [3, 8]": lambda: adapted_learning_rate(column, column, batch),
    "delta has shape [3]": lambda: projected(torch.ones(3, 8, 2), torch.ones(3, 8, 2), torch.ones(3)),
    "actions has shape [8, 2]": lambda: gaussian.log_prob(torch.ones(8, 2)),
    "actions has shape [3]": lambda: Categorical(torch.zeros(3, 8, 2)).log_prob(torch.zeros(3, dtype=torch.int64)),
}


@pytest.mark.parametrize("message", CALLS)
def test_wrong_shape_is_one_line(message):
    """The line names the argument, its shape and the needed one."""
    with pytest.raises(ValueError, match=r"needed is \[") as caught:
        CALLS[message]()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_right_shapes_pass():
    check_shapes(rewards=(steps, "steps ..."), last=(torch.ones(3, 2), "..."), gamma=(torch.ones(3, 1), "runs 1"))


def test_line_names_the_sizes():
    with pytest.raises(ValueError, match=r"^b has shape \[3, 7\], needed is \[runs, batch\] with runs = 3, batch = 8$"):
        check_shapes(a=(batch, "runs batch"), b=(torch.ones(3, 7), "runs batch"))
