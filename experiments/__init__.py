"""The experiments: what is run (protocols, settings), how (planner, worker, local), and where it is kept (store)."""
