"""The experiments: the paper's runs (paper), planning, training, results on disk (store), and the ppo command (cli)."""
