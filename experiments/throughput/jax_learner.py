"""A learner in JAX for comparison of speed: PPO's update of a whole batch, jitted and vmapped over a stack's runs.

The update alone, with Table 3's settings on random data: networks of 64-64 tanh units, clipped surrogate, squared
error, gradients clipped to a norm, Adam. The speed of such an update depends on the shapes, not on the values.
"""

import time
from typing import Any

from experiments.throughput.peers import Block
from ppo.ppo import PPOSettings


def update_block(runs: int, inputs: int, actions: int, settings: PPOSettings) -> Block:
    """Return a block that times an update of ``runs`` runs, in seconds per environment step.

    Raises ``ImportError`` without JAX.
    """
    import jax
    import jax.numpy as jnp

    batch, size = settings.num_steps * settings.num_envs, settings.minibatch_size

    def network(weights: Any, x: Any) -> Any:
        for matrix, bias in weights[:-1]:
            x = jnp.tanh(x @ matrix + bias)
        matrix, bias = weights[-1]
        return x @ matrix + bias

    def loss(parameters: Any, data: Any) -> Any:
        observations, taken, log_probs, advantages, returns = data
        actor, log_std, critic = parameters
        z = (taken - network(actor, observations)) * jnp.exp(-log_std)
        new = -0.5 * jnp.square(z).sum(-1) - log_std.sum() - 0.5 * actions * jnp.log(2 * jnp.pi)
        ratio = jnp.exp(new - log_probs)
        clipped = jnp.clip(ratio, 1 - settings.clip_coef, 1 + settings.clip_coef)
        error = jnp.square(network(critic, observations)[:, 0] - returns)
        return settings.vf_coef * error.mean() - jnp.minimum(ratio * advantages, clipped * advantages).mean()

    def step(state: Any, data: Any) -> tuple[Any, None]:
        parameters, mean, square, count = state
        gradient = jax.grad(loss)(parameters, data)
        norm = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(gradient)))
        factor = jnp.minimum(1.0, settings.max_grad_norm / (norm + 1e-6))
        count = count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g * factor, mean, gradient)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * jnp.square(g * factor), square, gradient)
        rate, scale = settings.learning_rate / (1 - 0.9**count), 1 / (1 - 0.999**count)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v * scale) + settings.adam_eps), parameters, mean, square
        )
        return (parameters, mean, square, count), None

    def epoch(carry: Any, key: Any) -> tuple[Any, None]:
        state, data = carry
        order = jax.random.permutation(key, batch)[: batch // size * size].reshape(-1, size)
        minibatches = jax.tree.map(lambda array: array[order], data)
        state, _ = jax.lax.scan(step, state, minibatches)
        return (state, data), None

    def update(state: Any, data: Any, key: Any) -> Any:
        (state, _), _ = jax.lax.scan(epoch, (state, data), jax.random.split(key, settings.update_epochs))
        return state

    def initial(key: Any) -> Any:
        def layers(sizes: tuple[int, ...]) -> Any:
            keys = jax.random.split(key, len(sizes) - 1)
            pairs = zip(sizes, sizes[1:], keys, strict=False)
            return [
                (0.1 * jax.random.normal(layer_key, (n_in, n_out)), jnp.zeros(n_out))
                for n_in, n_out, layer_key in pairs
            ]

        parameters = layers((inputs, 64, 64, actions)), jnp.zeros(actions), layers((inputs, 64, 64, 1))
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return parameters, zeros, zeros, jnp.zeros(())

    keys = jax.random.split(jax.random.key(0), runs)
    states = jax.vmap(initial)(keys)
    shapes = ((batch, inputs), (batch, actions), (batch,), (batch,), (batch,))
    data = tuple(jax.random.normal(jax.random.key(1), (runs, *shape)) for shape in shapes)
    compiled = jax.jit(jax.vmap(update))
    jax.block_until_ready(compiled(states, data, keys))

    def block() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(states, data, keys))
        return (time.perf_counter() - start) / (runs * batch)

    return block
