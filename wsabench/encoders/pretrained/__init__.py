"""The encoders that this project pre-trains, one file each, in the sizes `compact` and `paper`."""
