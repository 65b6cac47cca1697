"""What a table is, and the tables of eval, fluctuation and results."""
