"""The gate: may this run replace that one?"""
