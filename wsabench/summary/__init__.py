"""A result set becomes numbers, claims and sentences; neither emulator nor torch is needed."""
