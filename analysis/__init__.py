"""The paper's tables and figures, made from results/. Never trains, never writes measured data."""
