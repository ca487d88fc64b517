"""Claims about agents: permutation tests, families of them, equivalence."""
