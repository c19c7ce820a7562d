"""PURE: changes → jobs. Facts and the time come in as arguments, facts go out."""
