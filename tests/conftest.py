"""Makes this folder importable, so that tests share fakes (`from catch import CatchVector`)."""
