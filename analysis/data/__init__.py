"""What was measured and what the paper published, as tables of numbers, and the statistics over them."""
