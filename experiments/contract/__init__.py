"""What every algorithm promises, as checks of its class: by the tests of those listed, by `ppo check` of anybody's."""
