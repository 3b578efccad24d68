"""The humanoid tasks of section 6.3 on MuJoCo, after Roboschool: rules, body, physics, and one row for Gymnasium."""
