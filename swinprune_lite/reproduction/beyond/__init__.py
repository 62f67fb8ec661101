"""Past the paper: accuracy against time for what a clock can see."""
